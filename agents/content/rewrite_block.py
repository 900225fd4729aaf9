"""Rules over a compressed body, fragment by fragment: of those that come again as the same bytes nothing is decoded.

Whatever cannot be done that way is decoded and done by `MetricsRewriter`. Either way the result is the same, decoded;
only how it is compressed differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.content.plan import LEAST_BYTES
from agents.content.pressed_plan import PressedPlans, press_plan
from agents.content.rewrite import Rewritten
from topics import compression
from topics.errors import BadRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.content.rewrite import MetricsRewriter

PRESS_AT, PRESS_AGAIN = 2, 16
"""A plan that was of use so often is worth being pressed; when that fails, again after so many times as much use."""


class BlockRewriter:
    """One backend's. `rewriter` does what is not known yet."""

    def __init__(self, rewriter: MetricsRewriter) -> None:
        self._rewriter = rewriter
        self._plans = PressedPlans()
        self._may_press = True

    def rewrite(self, block: bytes, fragments: Sequence[int], elements: Sequence[int]) -> Rewritten:
        """What the rules make of a block; the answer's `body` is a block too. Raises BadRecord.

        `fragments`, `elements`: what the producer tells of it (topics.record): hints that are not relied on.
        """
        self._may_press = True  # one fragment a call: it takes some milliseconds
        try:
            results = [self._one(sizes, part) for sizes, part in _cut(block, fragments, elements)]
        except BadRecord:  # cut where nothing ends: the sizes are not to be trusted, the block may be
            results = [self._one((compression.decoded_size(block),), _elements(block))]
        if all(result.unchanged for result in results):
            return Rewritten(block if compression.decoded_size(block) else None, unchanged=True)
        blocks = [result.body for result in results if result.body]
        whole = Rewritten(compression.join_blocks(blocks) if blocks else None)
        whole.parts = [(compression.decoded_size(one), len(_elements(one))) for one in blocks]
        for result in results:
            whole.dropped_series += result.dropped_series
            for rule, number in result.ruled_out.items():
                whole.ruled_out[rule] = whole.ruled_out.get(rule, 0) + number
        return whole

    def _one(self, sizes: Sequence[int], part: memoryview) -> Rewritten:
        decoded_bytes = sum(sizes)
        single = len(sizes) == 1 and decoded_bytes >= LEAST_BYTES
        if single:
            found = self._plans.apply(part, decoded_bytes)
            if found is not None:
                plan, made = found
                if plan.passes:
                    return Rewritten(compression.with_preamble(decoded_bytes, part), unchanged=True)
                return Rewritten(made or None, False, plan.dropped_series, dict(plan.ruled_out))
        alone = compression.with_preamble(decoded_bytes, part)
        decoded = compression.decompress(alone)
        result = self._rewriter.rewrite(decoded, sizes)
        if single and self._may_press:
            self._press(part, decoded, result.body or b"")
        if result.body:
            result.body = alone if result.unchanged else compression.compress(result.body)
        return result

    def _press(self, part: memoryview, decoded: bytes, rewritten: bytes) -> None:
        plan = self._rewriter.plan_of(decoded)
        if plan is None or plan.used < PRESS_AT * PRESS_AGAIN**plan.tries:
            return
        plan.tries += 1
        self._may_press = False
        made = press_plan(plan, part, decoded, rewritten)
        if made is not None:
            self._plans.learn(part, len(decoded), made)
            self._rewriter.forget(decoded)  # it will not be asked for again, as long as the producer goes on like this


def _elements(block: bytes) -> memoryview:
    return memoryview(block)[compression.preamble_bytes(block) :]


def _cut(block: bytes, fragments: Sequence[int], elements: Sequence[int]) -> list[tuple[Sequence[int], memoryview]]:
    """The fragments that can be told apart in a block: sizes and elements; several sizes where they stand together."""
    view = _elements(block)
    size = compression.decoded_size(block)
    if len(fragments) < 2 or sum(fragments) != size:
        return [((size,), view)]
    if len(fragments) != len(elements) or sum(elements) != len(view) or not elements[-1]:
        return [(fragments, view)]
    found: list[tuple[Sequence[int], memoryview]] = []
    together: list[int] = []
    at = 0
    for fragment, length in zip(fragments, elements, strict=True):
        together.append(fragment)
        if length:
            found.append((together, view[at : at + length]))
            at += length
            together = []
    return found
