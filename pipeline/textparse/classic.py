"""A classic histogram, gathered from its series and turned into a native one with custom buckets (schema -53).

Source of the rules: Prometheus's util/convertnhcb. What makes a histogram impossible is kept until it is asked for.
"""

from __future__ import annotations

import math
from bisect import bisect_left

from pipeline.textparse.histograms import custom
from topics.histogram import NativeHistogram


class ClassicHistogram:
    """Bucket counts by bound, count and sum, in whatever order they come. `problem`: why it is none; empty if it is."""

    def __init__(self) -> None:
        self.problem = ""
        self._bounds: list[float] = []
        self._counts: list[float] = []
        self._count: float | None = None
        self._sum = 0.0

    def set_bucket(self, bound: float, count: float) -> None:
        """A bucket's cumulative count. A bound that came before is not looked at again."""
        if self.problem:
            return
        if math.isnan(bound):
            self.problem = "a bucket's bound is NaN"
        elif count < 0:
            self.problem = "a bucket has a negative count"
        else:
            place = bisect_left(self._bounds, bound)
            if place < len(self._bounds) and self._bounds[place] == bound:
                return
            if (place and count < self._counts[place - 1]) or (
                place < len(self._bounds) and count > self._counts[place]
            ):
                self.problem = "the counts of its buckets are not cumulative"
                return
            self._bounds.insert(place, bound)
            self._counts.insert(place, count)

    def set_count(self, count: float) -> None:
        """The count of all observations."""
        if self.problem:
            return
        if count < 0:
            self.problem = "its count is negative"
        else:
            self._count = count

    def set_sum(self, total: float) -> None:
        """The sum of all observations."""
        if not self.problem:
            self._sum = total

    def convert(self) -> NativeHistogram | None:
        """The native histogram, or None where `problem` says why there is none."""
        if self.problem:
            return None
        count = self._count if self._count is not None else self._counts[-1] if self._counts else 0.0
        buckets = list(zip(self._bounds, self._counts, strict=True))
        if not buckets or buckets[-1][0] != math.inf:
            buckets.append((math.inf, count))
        if buckets[-1][1] != count:
            self.problem = "its count is not that of its last bucket"
            return None
        return custom(buckets, count, self._sum)
