"""Fragments relabelled without being decoded: what plans (plan.py) are for decoded ones, for compressed ones.

A scraper compresses the series of a stable target once and puts values and timestamps into the gaps. Such a fragment
comes again as the same bytes but for these. So what the rules make of it is kept compressed, with gaps too: values are
taken out of the one and put into the other, and neither is decoded nor compressed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xxhash import xxh3_128_digest

from pipeline.memo import Memo
from topics.gaps import find
from topics.pressed import pressed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from agents.content.plan import Plan
    from topics.gaps import Gaps
    from topics.pressed import Pressed

PRESSED_BYTES = 24 * 1024 * 1024
_HEAD_BYTES: Final = 48  # of the first literal: names of labels, and what makes most targets differ
_MOST_ALIKE: Final = 4


@dataclass(frozen=True, slots=True)
class PressedPlan:
    """What becomes of one layout. Of `kept` None: it passes as it is; of `output` None otherwise: nothing is left.

    `kept`: which values go into the output, in order.
    """

    gaps: Gaps
    kept: NDArray[np.int32] | None
    output: Pressed | None
    dropped_series: int
    ruled_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """The memory it takes, about."""
        arrays = 0 if self.kept is None else self.kept.nbytes
        return 200 + self.gaps.size_bytes + arrays + (self.output.size_bytes if self.output else 0)

    def apply(self, compressed: memoryview) -> bytes | None:
        """The block that becomes of these elements: empty when nothing is left or nothing changes; None: not these."""
        found = self.gaps.read(compressed)
        if found is None or self.output is None or self.kept is None:
            return None if found is None else b""
        values, stamp = found
        return self.output.block(values[self.kept], stamp)

    @property
    def passes(self) -> bool:
        """Whether the rules touch nothing of it."""
        return self.kept is None


class PressedPlans:
    """Those of one backend, bounded in bytes."""

    def __init__(self, max_bytes: int = PRESSED_BYTES) -> None:
        self._memo = _Lists(max_bytes)

    def apply(self, compressed: memoryview, decoded_bytes: int) -> tuple[PressedPlan, bytes] | None:
        """The plan that fits these elements of one fragment, and what it makes of them: see `PressedPlan.apply`."""
        for plan in self._memo.known.get(_key(compressed, decoded_bytes), ()):
            block = plan.apply(compressed)
            if block is not None:
                return plan, block
        return None

    def learn(self, compressed: memoryview, decoded_bytes: int, plan: PressedPlan) -> None:
        """Use this plan for elements like these. Of those that look alike only the last few are kept."""
        key = _key(compressed, decoded_bytes)
        alike = self._memo.take(key)
        self._memo.add(key, (plan, *alike[: _MOST_ALIKE - 1]))


def press_plan(plan: Plan, compressed: memoryview, decoded: bytes, rewritten: bytes) -> PressedPlan | None:
    """The same as `plan` for elements; None when values cannot be taken out of them. Some ten microseconds a series.

    `compressed` are elements that decode to `decoded`, of which the plan has made `rewritten`.
    """
    gaps = find(compressed, len(decoded), plan.slots)
    if gaps is None or gaps.read(compressed) is None:
        return None
    if plan.passes:
        return PressedPlan(gaps, None, None, 0)
    output = pressed(rewritten, plan.new_slots) if rewritten else None
    if rewritten and output is None:
        return None
    return PressedPlan(gaps, plan.kept, output, plan.dropped_series, plan.ruled_out)


class _Lists(Memo[tuple[PressedPlan, ...]]):
    """Plans by what can be seen of a fragment at once."""

    def take(self, key: bytes) -> tuple[PressedPlan, ...]:
        """Remove what is known."""
        plans = self.known.pop(key, ())
        if plans:
            self._bytes -= self._price(plans)
        return plans

    def _price(self, value: tuple[PressedPlan, ...]) -> int:
        return self.ENTRY_BYTES + sum(plan.size_bytes for plan in value)


def _key(compressed: memoryview, decoded_bytes: int) -> bytes:
    """Both sizes, and the beginning of the first literal: it stands before the first value."""
    tag = compressed[0] if len(compressed) else 0
    size = (tag >> 2) + 1 if tag < 60 << 2 else _HEAD_BYTES
    head = compressed[1 : 1 + min(size, _HEAD_BYTES)]
    return b"%d,%d,%b" % (len(compressed), decoded_bytes, xxh3_128_digest(head))
