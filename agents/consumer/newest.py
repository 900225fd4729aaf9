"""The newest record that waits in Kafka for a backend that is behind, found from where its partitions end.

While a backend is away nothing more is read, so what was read last says nothing of how far behind it is. But the ends
of the partitions are seen to move, and what was written when they last did is the newest there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Newest:
    """One backend's partitions: the ends as last seen, and when each moved."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}
        self._moved_ms: dict[int, int] = {}

    def look(self, ends: Mapping[int, int], done: Mapping[int, int], now_ms: int) -> int | None:
        """Kafka's time of the newest record that waits, to the interval between two looks; None: none is known to.

        `ends`: where each partition ends; `done`: below which everything has its outcome. A partition waits when what
        was there at the look before still has none: what came since is only on its way.
        """
        newest: int | None = None
        for number, end in ends.items():
            before = self._ends.get(number)
            if before is not None and end > before:
                self._moved_ms[number] = now_ms
            if before is not None and done.get(number, end) < before and number in self._moved_ms:
                newest = max(newest or 0, self._moved_ms[number])
        self._ends = dict(ends)
        self._moved_ms = {number: moved for number, moved in self._moved_ms.items() if number in ends}
        return newest
