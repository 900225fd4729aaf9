"""Lines of scrapes that failed: as in Prometheus's cache, their series do not count as added once more."""

from __future__ import annotations

from xxhash import xxh3_64_intdigest

# As Prometheus's cache: what targets that always fail leave behind is bounded by this and twice what a success had.
_ROOM = 1000


class Tried:
    """Series of one target by what they are written as, since its last successful scrape."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._usual = 0

    def __len__(self) -> int:
        """How many."""
        return len(self._hashes)

    def is_new(self, text: bytes) -> bool:
        """Whether no failed scrape had this series; from now on one had."""
        known = len(self._hashes)
        self._hashes.add(xxh3_64_intdigest(text))
        return len(self._hashes) > known

    def failed(self) -> None:
        """The scrape has failed. What is remembered stays, unless it has become too much."""
        if len(self._hashes) > 2 * self._usual + _ROOM:
            self._hashes.clear()

    def succeeded(self, samples: int) -> None:
        """The scrape was a success: what it had is known by itself."""
        self._hashes.clear()
        self._usual = samples
