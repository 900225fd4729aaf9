"""One stage of a pipeline: a mapping with one key, the stage's name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.config.section import Fault, Section


class StageChoice(Section):
    """One stage: exactly one key."""

    def faults(self) -> Iterator[Fault]:
        """A stage is something, and only one thing."""
        given = self._given()
        if not given:
            yield Fault("a pipeline stage must contain one key, its name", "write for example: cri: {}", alone=True)
        elif len(given) > 1:
            yield Fault("a pipeline stage must contain only one key", "put a - before each stage", (given[1],))

    def _given(self) -> list[str]:
        fields = type(self).model_fields
        return [field.alias or name for name, field in fields.items() if getattr(self, name) is not None]

    @property
    def chosen(self) -> tuple[str, Any]:
        """The stage's name, and its settings."""
        name = self._given()[0]
        return name, getattr(self, f"{name}_stage")
