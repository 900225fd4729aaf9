"""What was decided about a label set, found again by its raw bytes."""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")


class Memo(Generic[V]):
    """A cache bounded in bytes. `known` is a plain dict for the hot path to look into.

    Full, it takes only every fourth new entry, in the place of the oldest. So a row of keys that is longer than the
    cache, asked for again and again in the same order (that is what scrapes are), still finds nearly as many as fit; to
    take each new one would find none. And what nobody asks for any more is gone after a while.
    """

    ENTRY_BYTES = 160  # a 16-byte key, two references and their share of the table
    ADMIT_EVERY = 4

    def __init__(self, max_bytes: int) -> None:
        self.known: dict[bytes, V] = {}
        self._max_bytes = max_bytes
        self._bytes = 0
        self._refused = 0

    def add(self, key: bytes, value: V) -> V:
        """Keep `value`, which is not known yet, if it may be kept; answers it."""
        price = self._price(value)
        if self._bytes + price > self._max_bytes:
            self._refused += 1
            if self._refused % self.ADMIT_EVERY:
                return value
            while self.known and self._bytes + price > self._max_bytes:
                self._bytes -= self._price(self.known.pop(next(iter(self.known))))
        self.known[key] = value
        self._bytes += price
        return value

    def _price(self, value: V) -> int:
        if isinstance(value, tuple):
            return self.ENTRY_BYTES + len(value[-1])  # as if it were not shared
        return self.ENTRY_BYTES + (len(value) if isinstance(value, bytes) else 0)
