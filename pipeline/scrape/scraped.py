"""What one scrape gave: fragments to append, and how much of what, in Prometheus's terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from pipeline.producer.appender import Fragment

# As Prometheus: a target's own timestamps may be ahead of our clock by no more than this (scrape.go, maxAheadTime).
MAX_AHEAD_MS = 600_000


class SampleLimitExceeded(ScrapeFailed):
    """More samples than `sample_limit`, after relabelling: none of them is sent."""

    def __init__(self) -> None:
        super().__init__("sample limit exceeded")


class BodySizeExceeded(ScrapeFailed):
    """A body larger than `body_size_limit`, as sent or decompressed."""

    def __init__(self) -> None:
        super().__init__("body size limit exceeded")


@dataclass(slots=True)
class Counts:
    """How far a body was read; true also when reading fails. Terms as in Prometheus's scrape_* series."""

    scraped: int = 0
    added: int = 0
    series_added: int = 0


@dataclass(slots=True)
class Scraped:
    """What a scrape gave. `fragments` hold views of the template: append them before the next scrape of this target.

    `error` is set when the body is malformed or beyond a limit: then the fragments hold staleness markers only, and the
    counts tell how far it was read, as in Prometheus. `how`: matched, patched or read; empty when there was no body.
    """

    fragments: list[Fragment] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    duplicates: int = 0
    out_of_order: int = 0
    out_of_bounds: int = 0
    exemplars_out_of_order: int = 0
    how: str = ""
    error: ScrapeFailed | None = None
