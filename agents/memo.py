"""What was decided about a label set, found again by its raw bytes."""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")


class Memo(Generic[V]):
    """A bounded cache in two generations: what is asked for stays, what is not falls out when the elder one is let go.

    `recent` is a plain dict for the hot path to look into; what it does not hold is asked of `find`. The bound counts
    the bytes of the values and a fixed price for each entry.
    """

    ENTRY_BYTES = 200  # a 16-byte key, two references and their share of the table

    def __init__(self, max_bytes: int) -> None:
        self.recent: dict[bytes, V] = {}
        self._elder: dict[bytes, V] = {}
        self._half_bytes = max(max_bytes // 2, 1)
        self._recent_bytes = 0

    def __len__(self) -> int:
        return len(self.recent) + len(self._elder)

    def find(self, key: bytes) -> V | None:
        """The value of `key` when it is still known; it then counts as recent."""
        value = self.recent.get(key)
        if value is None:
            value = self._elder.pop(key, None)
            if value is not None:
                self.add(key, value)
        return value

    def add(self, key: bytes, value: V) -> V:
        """Keep `value`; may let go of what was not asked for lately."""
        if self._recent_bytes >= self._half_bytes:
            # The dict stays the same object: callers hold its `get` while they work through a record.
            self._elder = dict(self.recent)
            self.recent.clear()
            self._recent_bytes = 0
        self.recent[key] = value
        self._recent_bytes += self.ENTRY_BYTES + (len(value) if isinstance(value, bytes) else 0)
        return value
