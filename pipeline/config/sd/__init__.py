"""The settings of every kind of discovery: one file here is one kind, found by looking, listed nowhere.

To add a kind: a file here with a subclass of `Kind`, and a file of the same name as its `KIND` in pipeline/discovery.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, TypeVar

from pydantic import create_model

from pipeline.config.discovery import SD_MECHANISMS
from pipeline.config.sd.kind import Described, Kind
from pipeline.config.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config.sd.file import FileSDConfig
    from pipeline.config.sd.static import StaticConfig
    from pipeline.config.section import Foreign


def _found() -> Iterator[type[Described]]:
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for thing in vars(loaded).values():
            if inspect.isclass(thing) and issubclass(thing, Described) and thing.__module__ == loaded.__name__:
                yield thing


SECTIONS = tuple(section for section in _found() if section not in (Described, Kind))
"""The settings of every kind and the sections inside them."""

KINDS: dict[str, type[Kind]] = {
    kind.KIND: kind for kind in sorted((one for one in SECTIONS if issubclass(one, Kind)), key=lambda one: one.KIND)
}
"""Every kind by its name, sorted."""

MEANINGS: dict[type[Section], dict[str, str]] = {section: section.MEANINGS for section in SECTIONS}
"""What the keys of each kind, and of the sections inside, mean; for the reference."""

KEY_MEANINGS: dict[str, str] = {kind.key(): kind.MEANING for kind in KINDS.values()}
"""What the key of each kind means; for the sections that are `DiscoverySections`."""

if TYPE_CHECKING:

    class DiscoverySections(Section):
        """A section with one key for each kind of discovery (`static_configs`, `<kind>_sd_configs`)."""

        static_configs: tuple[StaticConfig, ...] = ()
        file_sd_configs: tuple[FileSDConfig, ...] = ()

else:
    DiscoverySections = create_model(
        "DiscoverySections",
        __base__=Section,
        __module__=__name__,
        **{kind.key(): (tuple[kind, ...], ()) for kind in KINDS.values()},
    )


_Sections = TypeVar("_Sections", bound=DiscoverySections)


def mechanisms(config: DiscoverySections) -> tuple[tuple[str, Section], ...]:
    """The name of the kind and the settings of all discoveries of a job; those of one kind as the file has them."""
    return tuple((kind.KIND, settings) for kind in KINDS.values() for settings in getattr(config, kind.key()))


def on_node(config: _Sections, node: str) -> _Sections:
    """A job whose discoveries ask for what runs on a node only, where their kind can."""
    limited = {
        kind.key(): tuple(settings.on_node(node) for settings in getattr(config, kind.key())) for kind in KINDS.values()
    }
    return config.model_copy(update=limited)


def foreign(fate: Foreign, *more: str) -> dict[str, Foreign]:
    """`FOREIGN` for the kinds that are known and not there; `more`: known besides those of Prometheus."""
    keys = (f"{name}_sd_configs" for name in (*SD_MECHANISMS, *more) if name not in KINDS)
    return dict.fromkeys(keys, fate)
