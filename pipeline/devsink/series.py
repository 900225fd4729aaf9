"""What one metric series or log stream has shown so far: how many, in which order, with which holes. Pure bookkeeping.

Memory is bounded: a series keeps its last `window` timestamps, to tell a sample that came twice (a re-send, harmless)
from one that came late (a broken order), and counts for everything before.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from topics.labels import LabelPairs

_FIRST_STEPS = 5  # as many steps are needed before one can call a step unusual
_GAP = 1.5  # a step this many times the usual one is a gap


@dataclass(frozen=True, slots=True)
class Rules:
    """How to judge. `expect_interval_ms` 0: each series' own usual step. `window`: timestamps kept for each series."""

    expect_interval_ms: int = 0
    window: int = 256


class Series:
    """One metric series. Timestamps are Unix milliseconds."""

    __slots__ = (
        "_recent",
        "_rules",
        "_seen_steps",
        "count",
        "duplicates",
        "first_ts",
        "gaps",
        "labels",
        "last_bits",
        "last_ts",
        "reorders",
        "stale",
        "step",
    )  # fmt: skip

    def __init__(self, labels: LabelPairs, rules: Rules) -> None:
        self.labels = labels
        self.count = 0
        self.duplicates = 0
        self.reorders = 0
        self.gaps = 0
        self.first_ts = 0
        self.last_ts = 0
        self.last_bits = b""
        self.stale = False
        self.step: float = rules.expect_interval_ms
        self._rules = rules
        self._recent = array("q")
        self._seen_steps = 0

    @property
    def bad(self) -> bool:
        """Whether anything is wrong with it: a gap or a broken order. Duplicates are counted, not wrong."""
        return bool(self.gaps or self.reorders)

    def refuses(self, ts_ms: int, bits: bytes) -> str:
        """Why Prometheus 2.42 would refuse this sample: its own words, or nothing."""
        if not self.count or ts_ms > self.last_ts:
            return ""
        if ts_ms < self.last_ts:
            return "out of order sample"
        return "" if bits == self.last_bits else "duplicate sample for timestamp"

    def add(self, ts_ms: int, bits: bytes, *, stale: bool) -> None:
        """Take one sample; `bits` are the eight bytes of its value, `stale` marks the end of the series for now."""
        self.count += 1
        if self.count == 1:
            self.first_ts = ts_ms
        elif ts_ms <= self.last_ts:
            self._late(ts_ms)
            return
        elif not self.stale:
            self._step(ts_ms - self.last_ts)
        self.last_ts = ts_ms
        self.last_bits = bits
        self.stale = stale
        self._recent.append(ts_ms)
        if len(self._recent) >= 2 * self._rules.window:
            del self._recent[: self._rules.window]

    def _late(self, ts_ms: int) -> None:
        if ts_ms == self.last_ts or ts_ms in self._recent:
            self.duplicates += 1
        else:
            self.reorders += 1

    def _step(self, step: int) -> None:
        """Judge one step; where no interval is expected, learn the usual one first."""
        if self._rules.expect_interval_ms:
            self.gaps += step > self.step * _GAP
            return
        self._seen_steps += 1
        if self._seen_steps > _FIRST_STEPS:
            self.gaps += step > self.step * _GAP
            if self._seen_steps % self._rules.window:
                return
        elif self._seen_steps < _FIRST_STEPS:
            return
        steps = [later - earlier for earlier, later in zip(self._recent, self._recent[1:], strict=False)]
        if self._seen_steps == _FIRST_STEPS:
            steps.append(step)
        self.step = median(steps)
        if self._seen_steps == _FIRST_STEPS:
            self.gaps = sum(seen > self.step * _GAP for seen in steps)


class Sequence:
    """Which numbers have been seen of 0, 1, 2 …, as runs: a hole shows at once, and closes when the late one comes."""

    __slots__ = ("_runs", "duplicates", "late")

    def __init__(self) -> None:
        self._runs: list[list[int]] = []
        self.duplicates = 0
        self.late = 0

    @property
    def missing(self) -> int:
        """How many numbers between the first and the last have not been seen."""
        return sum(later[0] - earlier[1] - 1 for earlier, later in zip(self._runs, self._runs[1:], strict=False))

    @property
    def holes(self) -> list[tuple[int, int]]:
        """The ranges that are missing, both ends included."""
        return [(earlier[1] + 1, later[0] - 1) for earlier, later in zip(self._runs, self._runs[1:], strict=False)]

    @property
    def first(self) -> int | None:
        """The smallest number seen."""
        return self._runs[0][0] if self._runs else None

    @property
    def last(self) -> int | None:
        """The largest number seen."""
        return self._runs[-1][1] if self._runs else None

    def add(self, number: int) -> None:
        """Take one number."""
        runs = self._runs
        if not runs or number > runs[-1][1] + 1:
            runs.append([number, number])
            return
        if number == runs[-1][1] + 1:
            runs[-1][1] = number
            return
        self._fill(number)

    def _fill(self, number: int) -> None:
        """A number below the last: a repeat, or one that belongs into a hole (or before the first)."""
        index = len(self._runs) - 1
        while index >= 0 and self._runs[index][0] > number:
            index -= 1
        if index >= 0 and number <= self._runs[index][1]:
            self.duplicates += 1
            return
        self.late += 1
        self._runs.insert(index + 1, [number, number])
        self._merge(index + 1)
        self._merge(index)

    def _merge(self, index: int) -> None:
        """Join run `index` with the one behind it where they touch."""
        if 0 <= index < len(self._runs) - 1 and self._runs[index][1] + 1 == self._runs[index + 1][0]:
            self._runs[index][1] = self._runs.pop(index + 1)[1]


class Stream:
    """One log stream. Timestamps are Unix nanoseconds; `fingerprint` tells lines of one timestamp apart."""

    __slots__ = ("_recent", "_window", "count", "duplicates", "first_ts", "labels", "last_ts", "reorders", "sequence")

    def __init__(self, labels: LabelPairs, rules: Rules) -> None:
        self.labels = labels
        self.count = 0
        self.duplicates = 0
        self.reorders = 0
        self.first_ts = 0
        self.last_ts = 0
        self.sequence = Sequence()
        self._window = rules.window
        self._recent: dict[tuple[int, int], None] = {}

    @property
    def bad(self) -> bool:
        """Whether anything is wrong with it: a line missing by its sequence, or a broken order."""
        return bool(self.reorders or self.sequence.missing)

    def add(self, ts_ns: int, fingerprint: int, number: int | None) -> None:
        """Take one line; `number` is its sequence number, None where it has none."""
        self.count += 1
        if number is not None:
            self.sequence.add(number)
        line = (ts_ns, fingerprint)
        if line in self._recent:
            self.duplicates += 1
            return
        if self.count == 1:
            self.first_ts = ts_ns
        elif ts_ns < self.last_ts:
            self.reorders += 1
        self.last_ts = max(self.last_ts, ts_ns)
        self._recent[line] = None
        if len(self._recent) > self._window:
            del self._recent[next(iter(self._recent))]
