"""Stages strung together: compiled once for a job, attached once for each path.

A stage is a function over an entry that says whether the entry goes on; or, if it holds entries back, sends one on as
several, or sends it another way, an object that is attached to what comes after it. Runs of plain functions become one
loop.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.stages.entry import Entry, Span
from pipeline.stages.labelsets import LabelSet, LabelSets

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.stages.custom_metrics import CustomMetrics

Apply = Callable[[Entry], bool]
"""A stage as a function: False drops the entry, and the stage has counted it."""
Emit = Callable[[Entry], None]


class Odd(Protocol):
    """Counts of lines that are sent, but not as they should be."""

    malformed: int
    bad_timestamp: int
    cut: int
    invalid_utf8: int


class Holder(Protocol):
    """A stage that keeps entries back, on one path."""

    def held(self) -> Iterable[Span]:
        """Where the lines stand that wait, in any order."""

    def due_s(self) -> float | None:
        """When something that waits is to be sent as it is, in monotonic seconds; None when nothing waits."""

    def flush(self, now_s: float | None) -> None:
        """Send on what is due at `now_s`; everything if None."""


@dataclass(slots=True)
class Way:
    """One path's way through the stages, as the stages see it.

    `replaying`: lines that were taken before a restart are shown again, to be held back once more; nothing is counted
    then, and nothing dropped by chance, age or rate. `clean`: all lines of the block at hand are UTF-8. `now_s`:
    monotonic, as of the block at hand. `resume_s`: no further block before this moment. `index`: the line at hand,
    in its block. `latest`: the time of the last line of each set of labels, where the line itself says it.
    """

    odd: Odd
    holders: list[Holder] = field(default_factory=list)
    replaying: bool = False
    clean: bool = True
    now_s: float = 0.0
    resume_s: float = 0.0
    index: int = 0
    latest: dict[LabelSet, int] = field(default_factory=dict)
    _source: int = 0
    _start: int = 0
    _lines: Sequence[bytes] = ()
    _offsets: Sequence[int] = ()

    def begin(self, source: int, start: int, lines: Sequence[bytes], offsets: Sequence[int] = ()) -> None:
        """A block begins: `index` counts its lines from now on. `offsets`: where each line begins and the last one
        ends, if that cannot be told from their lengths.
        """
        self._source, self._start, self._lines, self._offsets = source, start, lines, offsets

    def spans(self, entry: Entry) -> tuple[Span, ...]:
        """Where the lines of an entry stand."""
        if entry.spans:
            return entry.spans
        if len(self._offsets) <= self.index + 1:
            sizes = (len(line) + 1 for line in self._lines)
            self._offsets = tuple(itertools.accumulate(sizes, initial=self._start))
        return ((self._source, self._offsets[self.index], self._offsets[self.index + 1]),)


class Joint(Protocol):
    """A stage that must know its path, or what comes after it."""

    def attach(self, way: Way, emit: Emit) -> Emit:
        """The stage on one path, before `emit`."""


Stage = Apply | Joint


@dataclass(slots=True)
class Job:
    """What all paths of a job share. `dropped` counts a line by its reason. `values_wanted`: whether any stage looks at
    extracted values; if not, nobody needs to extract what is not asked for by name.
    """

    name: str
    clock: Clock
    metrics: CustomMetrics
    dropped: Callable[[str], None]
    sets: LabelSets = field(default_factory=LabelSets)
    values_wanted: bool = False


Builder = Callable[[Any, Job], Stage]
Named = tuple[str, Any]
"""A stage of the configuration: its name, and its settings."""


@cache
def builders() -> dict[str, Builder]:
    """Every stage by its name: each module of this package may offer some in `STAGES`."""
    package = importlib.import_module("pipeline.stages")
    found: dict[str, Builder] = {}
    for module in pkgutil.iter_modules(package.__path__):
        found |= getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "STAGES", {})
    return found


def compiled(stages: Iterable[Named], job: Job) -> list[Stage]:
    """The stages, ready to be attached."""
    return [builders()[name](settings, job) for name, settings in stages]


def attached(stages: Sequence[Stage], way: Way, emit: Emit) -> Emit:
    """The stages on one path, before `emit`."""
    run: list[Apply] = []
    for stage in reversed(stages):
        if callable(stage):
            run.insert(0, stage)
            continue
        emit = stage.attach(way, _loop(run, emit))
        run = []
    return _loop(run, emit)


def _loop(run: Sequence[Apply], emit: Emit) -> Emit:
    if not run:
        return emit
    applies = tuple(run)

    def go(entry: Entry) -> None:
        for apply in applies:
            if not apply(entry):
                return
        emit(entry)

    return go


_BLIND = frozenset(
    ("cri", "envoy", "static_labels", "labeldrop", "labelallow", "decolorize", "limit", "sampling", "multiline",
     "structured_metadata_drop")
)  # fmt: skip
"""Stages that look at no extracted value."""


class Program:
    """A job's stages."""

    def __init__(self, stages: Sequence[Named], job: Job) -> None:
        self.job = job
        job.values_wanted |= not _BLIND.issuperset(name for name, _ in stages)
        self.stages: Sequence[Stage] = compiled(stages, job)

    def pipeline(self, emit: Emit, odd: Odd) -> Pipeline:
        """The stages for one path; `emit` takes what comes out, `odd` counts."""
        return Pipeline(self.stages, emit, odd)


class Pipeline:
    """The stages of one path. `push` an entry; what it becomes goes to `emit`, at once or later."""

    def __init__(self, stages: Sequence[Stage], emit: Emit, odd: Odd) -> None:
        self.way = Way(odd)
        self.push: Emit = attached(stages, self.way, emit)
        # Attached from the last to the first; flushed from the first, whose entries go into those after it.
        self._holders = self.way.holders[::-1]

    @property
    def holds(self) -> bool:
        """Whether any stage may keep entries back."""
        return bool(self._holders)

    def held(self) -> Iterable[Span]:
        """Where the lines stand that wait."""
        for holder in self._holders:
            yield from holder.held()

    def due_s(self) -> float | None:
        """When `flush` has something to do, in monotonic seconds."""
        return min((due for holder in self._holders if (due := holder.due_s()) is not None), default=None)

    def flush(self, now_s: float | None = None) -> None:
        """Send what is due at `now_s` (monotonic); without it, all that waits."""
        for holder in self._holders:
            holder.flush(now_s)
