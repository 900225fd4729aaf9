"""What a valid configuration says that will not do what its reader may expect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.config.keys import key_of
from pipeline.config.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config.section import Fault
    from pipeline.config.yaml_tree import Path


def advice(value: Any, path: Path = ()) -> Iterator[tuple[Path, Fault]]:
    """Every warning in a section and the sections inside it, with its whole key path."""
    if isinstance(value, Section):
        for found in value.warnings():
            yield (*path, *found.path), found
        for name, field in type(value).model_fields.items():
            yield from advice(getattr(value, name), (*path, key_of(name, field)))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from advice(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from advice(item, (*path, key))
