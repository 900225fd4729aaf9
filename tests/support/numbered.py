"""Sources that number what they give, so that a test can prove that nothing is missing.

A target's every answer bears the next number as the value of each of its series. What reached a backend is read from
the sink's journal: per series the numbers must be 1, 2, 3 … without a hole and in order; repeats are counted.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from pipeline.devsink import journal
from tests.support.counting_targets import CountingTargets
from topics import keys
from topics.labels import make
from topics.write_request import STALE_NAN_BITS

if TYPE_CHECKING:
    from pathlib import Path


class NumberedTarget(CountingTargets):
    """Serves `/metrics` with `series` series on 127.0.0.1; each answer bears the next number."""

    def __init__(self, series: int = 50) -> None:
        super().__init__()
        self.answers = 0
        self._series = series
        self._lock = threading.Lock()

    def answer(self, path: str) -> str:
        """At any path."""
        with self._lock:
            self.answers += 1
            number = self.answers
        lines = [f'numbered{{series="{index}"}} {number}' for index in range(self._series)]
        return "# TYPE numbered gauge\n" + "\n".join(lines) + "\n"

    def proof(self, journal_file: Path, *, job: str, **labels: str) -> Proof:
        """What this sink got of our series; `labels` beside job and instance, e.g. external ones."""
        numbers: dict[int, list[int]] = {}
        for index in range(self._series):
            named = {"__name__": "numbered", "series": str(index), "job": job, "instance": self.address} | labels
            numbers[xxh3_64_intdigest(keys.canonical(make(named)))] = []
        if journal_file.exists():
            for entry in journal.read(journal_file):
                if entry.kind == journal.SAMPLE and entry.series in numbers and entry.content != STALE_NAN_BITS:
                    (value,) = struct.unpack("<d", struct.pack("<Q", entry.content))
                    numbers[entry.series].append(int(value))
        return Proof.of(list(numbers.values()))


@dataclass(frozen=True)
class Proof:
    """`first`, `last`: the numbers that every series has in common; `missing` counts the holes between them."""

    first: int
    last: int
    missing: int
    reordered: int
    repeated: int

    @classmethod
    def of(cls, numbers: list[list[int]]) -> Proof:
        """From the numbers of each series in the order of their arrival."""
        if not all(numbers):
            return cls(0, 0, 0, 0, 0)
        first, last = max(min(values) for values in numbers), min(max(values) for values in numbers)
        expected = set(range(first, last + 1))
        return cls(
            first=first,
            last=last,
            missing=sum(len(expected - set(values)) for values in numbers),
            reordered=sum(_reordered(values) for values in numbers),
            repeated=sum(len(values) - len(set(values)) for values in numbers),
        )


def _reordered(values: list[int]) -> int:
    """First arrivals that came after a greater number: a re-sent number is a repeat, not a reorder."""
    seen: set[int] = set()
    highest = late = 0
    for value in values:
        if value not in seen and value < highest:
            late += 1
        seen.add(value)
        highest = max(highest, value)
    return late
