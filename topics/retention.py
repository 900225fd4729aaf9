"""How long a topic keeps its records, and how much of that a reader that is behind has used up.

Kafka forgets by age (`retention.ms`) and by size (`retention.bytes`, of each partition), whichever comes first; a topic
without a setting of its own has its broker's. What is forgotten before it is delivered is lost: this is the one way in
which Kafka loses data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Retention:
    """The bounds of one topic; None: there is none. `size_bytes` is of each partition."""

    time_ms: int | None = None
    size_bytes: int | None = None

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Retention:
        """From a topic's settings as the broker tells them, those of the broker among them."""
        if "delete" not in settings.get("cleanup.policy", "delete"):
            return cls()
        return cls(_bound(settings.get("retention.ms", "")), _bound(settings.get("retention.bytes", "")))

    def used(self, age_ms: int, *, offset: int, start: int, end: int) -> float:
        """The share of it that a record has used up: at 1 and above Kafka may delete it any moment.

        `age_ms`: of the record; `offset`: its place in a partition that holds `start` to `end`. By size only where
        records have been deleted already: before that nobody can know.
        """
        by_time = age_ms / self.time_ms if self.time_ms else 0.0
        if self.size_bytes is None or start <= 0 or end <= start:
            return max(by_time, 0.0)
        by_size = 1 - (min(max(offset, start), end) - start) / (end - start)
        return max(by_time, by_size, 0.0)


UNKNOWN = Retention()


def _bound(text: str) -> int | None:
    """Kafka's -1 is for ever."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if number >= 0 else None
