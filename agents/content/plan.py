"""Whole fragments relabelled at once: a scrape repeats the same series in the same order, with other values.

A *plan* is what the rules made of one fragment when every series in it was known. It holds where each value and
timestamp stands, and the rewritten fragment with those places empty. A later fragment that is the same but for these
places is rewritten by copying them across; nothing is looked up series by series. That it is the same is proven by a
hash of all other bytes, so a fragment that merely looks alike is never taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import numpy as np
from xxhash import xxh3_128_digest

from pipeline.memo import Memo
from topics import compression, wire
from topics.errors import CorruptMessage
from topics.write_request import ONE_SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

PLANS_BYTES = 24 * 1024 * 1024
LEAST_BYTES = 8 * 1024
"""A smaller fragment is done as quickly series by series."""

# The end of a series with one ordinary sample: 8 bytes of value, the timestamp's tag, 6 bytes of timestamp.
_SLOT_BYTES: Final = 15
_TAG_IN_SLOT: Final = 8
_TIMESTAMP_TAG: Final = 0x10
_SAMPLE_HEAD: Final = bytes((0x12, ONE_SAMPLE_BYTES - 2, 0x09))


@dataclass(slots=True)
class Plan:
    """What becomes of one layout. `block` None: it passes as it is; an empty one: every series is dropped.

    `slots`, `new_slots`: where the slots stand in the fragment and in the rewritten one; `kept`: which of the former
    go into the latter, in order. `ruled_out` and `dropped_series` are those of every fragment of this layout. `used`:
    how often it was of use; `tries`: to press it (rewrite_block.py).
    """

    digest: bytes
    slots: NDArray[np.int32]
    kept: NDArray[np.int32]
    new_slots: NDArray[np.int32]
    block: bytes | None
    dropped_series: int
    ruled_out: Mapping[str, int] = field(default_factory=dict)
    used: int = 0
    tries: int = 0

    def apply(self, fragment: bytes) -> bytes | None:
        """The rewritten fragment (the same object when it passes as it is); None when it has another layout."""
        slots = _windows(fragment)[self.slots]
        if not (slots[:, _TAG_IN_SLOT] == _TIMESTAMP_TAG).all() or _digest(fragment, self.slots) != self.digest:
            return None
        self.used += 1
        if self.block is None:
            return fragment
        if not self.new_slots.size:
            return b""
        rewritten = compression.decompress_writable(self.block)
        _windows(rewritten)[self.new_slots] = slots[self.kept]
        return bytes(rewritten)

    @property
    def passes(self) -> bool:
        """Whether nothing of the fragment is touched."""
        return self.block is None


class Plans:
    """The plans of one backend, bounded in bytes."""

    def __init__(self, max_bytes: int = PLANS_BYTES) -> None:
        self._memo = _PlanMemo(max_bytes)

    def find(self, fragment: bytes) -> Plan | None:
        """The plan whose fragment had this length and began with this series, if there is one."""
        key = _key(fragment)
        return self._memo.known.get(key) if key else None

    def forget(self, fragment: bytes) -> None:
        """The plan that `find` gave does not fit any more."""
        self._memo.remove(_key(fragment))

    def learn(
        self,
        fragment: bytes,
        series: Sequence[bytes],
        new_sizes: Sequence[int],
        rewritten: bytes | None,
        *,
        dropped_series: int,
        ruled_out: Mapping[str, int],
    ) -> None:
        """Make a plan of what was just done, if the fragment allows it: ordinary series, one sample each.

        `new_sizes`: the size of each rewritten raw series, 0 for a dropped one. `rewritten` None: it passes as it is.
        """
        slots = _ends(map(len, series)) - _SLOT_BYTES
        if not series or slots[-1] + _SLOT_BYTES != len(fragment) or not all(map(_ordinary, series)):
            return
        sizes = np.fromiter(new_sizes, np.int32, len(new_sizes))
        kept = np.flatnonzero(sizes).astype(np.int32)
        new_slots = _ends(sizes[kept].tolist()) - _SLOT_BYTES
        block: bytes | None = None
        if rewritten is not None:
            if (int(new_slots[-1]) + _SLOT_BYTES if kept.size else 0) != len(rewritten):
                return
            block = compression.compress(memoryview(_emptied(rewritten, new_slots))) if rewritten else b""
        plan = Plan(_digest(fragment, slots), slots, kept, new_slots, block, dropped_series, dict(ruled_out))
        key = _key(fragment)
        if key:
            self._memo.remove(key)
            self._memo.add(key, plan)


class _PlanMemo(Memo[Plan]):
    """Plans by length and first series."""

    def remove(self, key: bytes) -> None:
        plan = self.known.pop(key, None)
        if plan is not None:
            self._bytes -= self._price(plan)

    def _price(self, value: Plan) -> int:
        arrays = value.slots.nbytes + value.kept.nbytes + value.new_slots.nbytes
        return self.ENTRY_BYTES + arrays + len(value.block or b"")


def _key(fragment: bytes) -> bytes:
    """Length and labels of the first series; empty when the fragment does not begin with one."""
    try:
        size, start = wire.read_varint(fragment, 1)
    except CorruptMessage:
        return b""
    end = start + size - _SLOT_BYTES
    return xxh3_128_digest(fragment[:end]) + len(fragment).to_bytes(8, "little") if 0 < end < len(fragment) else b""


def _ordinary(raw: bytes) -> bool:
    return raw[-ONE_SAMPLE_BYTES:-_SLOT_BYTES] == _SAMPLE_HEAD and raw[_TAG_IN_SLOT - _SLOT_BYTES] == _TIMESTAMP_TAG


def _ends(sizes: Sequence[int] | map[int]) -> NDArray[np.int32]:
    """Where each raw series of these sizes ends when they stand as fields one after the other."""
    return np.array(list(accumulate(size + 1 + len(wire.varint(size)) for size in sizes)), np.int32)


def _windows(buffer: bytes | bytearray) -> NDArray[np.uint8]:
    """Row i is the slot that begins at byte i: a view, nothing is copied."""
    rows = len(buffer) - _SLOT_BYTES + 1
    return np.ndarray((rows, _SLOT_BYTES), np.uint8, buffer, 0, (1, 1))


def _emptied(body: bytes, slots: NDArray[np.int32]) -> bytearray:
    empty = bytearray(body)
    _windows(empty)[slots] = 0
    return empty


def _digest(fragment: bytes, slots: NDArray[np.int32]) -> bytes:
    """The hash of everything but the slots."""
    return xxh3_128_digest(_emptied(fragment, slots))
