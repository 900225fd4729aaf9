"""`static_configs`: targets written down."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from pipeline.config.discovery import Labels
from pipeline.config.sd.kind import Kind
from pipeline.config.units import Text


class StaticConfig(Kind):
    """Targets written down, with labels for all of them."""

    KIND: ClassVar[str] = "static"
    MEANING: ClassVar[str] = "Targets written down."
    MEANINGS: ClassVar[dict[str, str]] = {
        "targets": "Addresses, `host:port`.",
        "labels": "Labels of all these targets.",
    }

    targets: tuple[Text, ...] = ()
    labels: Labels = Field(default_factory=dict)

    @classmethod
    def key(cls) -> str:
        """Older than the other kinds, and named without `sd`."""
        return "static_configs"
