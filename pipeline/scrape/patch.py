"""A body that differs from the one before in some lines: those are read, the rest is matched in long runs.

Lines are compared with the heads of the template in their order, many at a time. Where they differ, the head of the
line is looked up: it stands further on in the template (lines are gone, or were moved), and the run goes on there; or
it is new, and is read. What comes out is a new template and a sheet put together from byte ranges of the old one, at
a cost that depends on how many lines are new, not on how many there are.

Only for layouts in which each line is what it is by itself and by the TYPE above it, and only as long as nothing
unusual turns up: then `patch` gives up, and the exact reader (`layout.py`) reads the whole body.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count, islice
from operator import is_
from typing import TYPE_CHECKING, cast

import numpy as np

from pipeline.scrape.heads import Heads
from pipeline.scrape.layout import rewriting
from pipeline.scrape.lines import read_line
from pipeline.scrape.pressed_sheet import PressedSheet
from pipeline.scrape.scraped import Counts
from pipeline.scrape.sheet import hashes_of
from pipeline.scrape.template import DROPPED, SILENT, Template, Values
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.scrape.exemplars import LastExemplar
    from pipeline.scrape.series import SeriesMaker
    from pipeline.scrape.sheet import Encoded
    from pipeline.scrape.tried import Tried

_LEAST_LINES, _MOST_LINES = 32, 256  # of a window
_NEW = -(1 << 40)
# Beyond this share of lines that are new, reading everything is as cheap, and does not double the work when it fails.
_MOST_NEW = 0.3


@dataclass(slots=True)
class Patched:
    """The new template, its values, and which series of the sheet before are in it (None: nothing has changed)."""

    template: Template
    values: Values
    counts: Counts
    kept: NDArray[np.bool_] | None


@dataclass(slots=True)
class _Plan:
    """What the lines of the body are: runs of lines that the template has, and of new ones."""

    heads: list[bytes | None] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    runs: list[tuple[int, int]] = field(
        default_factory=list
    )  # first line in the template, how many; _NEW + number: new ones
    new_places: list[int] = field(default_factory=list)  # of each new line
    new: list[Encoded] = field(default_factory=list)
    types: list[tuple[int, bytes]] = field(default_factory=lambda: [(0, b"")])


class Patcher:
    """Knows the lines of one template by their heads; goes from one template to the next, as long as it is used.

    Each head has a number for as long as it stays; where it stands in the template is kept apart, for that changes.
    """

    def __init__(self) -> None:
        self._heads: Heads | None = None
        self._numbers: dict[bytes, int] = {}
        self._of_line: NDArray[np.int64] = np.empty(0, np.int64)  # the number of the head of each line
        self._line_of: NDArray[np.int64] = np.empty(0, np.int64)  # by number

    def patch(self, before: Template, body: bytes, maker: SeriesMaker, tried: Tried) -> Patched | None:
        """The body as a change of `before`; None when it is to be read exactly."""
        if not before.has_plain_layout or isinstance(before.sheet, PressedSheet):
            return None
        if self._heads is not before.heads:
            self._learn(before)
        if before.dialect.end:
            end = cast("bytes", before.heads.listed()[-2])
            if body[-len(end) - 1 :] not in (end, b"\n" + end):
                return None
        reader = _Reader(before, body, maker, self._numbers, self._line_of)
        plan = reader.read()
        if plan is None:
            return None
        text = b"".join(plan.texts)
        if plan.runs == [(0, len(before.lines))]:
            values = before.values(text)
            return None if values is None else Patched(before, values, Counts(), None)
        sources = _sources(plan)
        patched = _result(before, plan, sources, text, heads_bytes=len(body) - len(text), tried=tried)
        if patched is not None:
            self._follow(before, patched.template, sources)
        return patched

    def forget(self) -> None:
        """Free what was learnt."""
        if self._heads is not None:
            self._heads, self._numbers = None, {}
            self._of_line = self._line_of = np.empty(0, np.int64)

    def _learn(self, template: Template) -> None:
        """Number the heads; one that stands twice is found where it stands last."""
        heads = template.heads.listed()[:-1]
        self._numbers = dict(zip(heads, range(len(heads)), strict=True))  # type: ignore[arg-type] # None comes last
        self._of_line = np.arange(len(heads))
        self._line_of = self._of_line
        self._heads = template.heads

    def _follow(self, before: Template, after: Template, sources: NDArray[np.int64]) -> None:
        """Go from one template to the next."""
        stays = np.zeros(len(self._of_line), bool)
        stays[sources[sources >= 0]] = True
        heads = before.heads.listed()
        for line in np.flatnonzero(~stays).tolist():
            self._numbers.pop(heads[line], None)  # type: ignore[arg-type] # None comes last
        numbers = self._of_line[np.maximum(sources, 0)]
        fresh = np.flatnonzero(sources < 0)
        first = len(self._line_of)
        if first > 4 * len(sources) + 1000:  # most numbers belong to nothing any more
            self._learn(after)
            return
        numbers[fresh] = first + np.arange(len(fresh))
        heads = after.heads.listed()
        self._numbers.update(zip(map(heads.__getitem__, fresh.tolist()), count(first)))  # type: ignore[arg-type] # None comes last
        line_of = np.zeros(first + len(fresh), np.int64)
        line_of[numbers] = np.arange(len(sources))
        self._of_line, self._line_of, self._heads = numbers, line_of, after.heads


class _Compared:
    """The lines of a window from `at` on, compared with the heads from `place` on, one by one."""

    __slots__ = ("_at", "_same", "_texts", "shift")

    def __init__(self, here: list[bytes], at: int, heads: list[bytes | None], place: int) -> None:
        self.shift = place - at
        self._at = at
        lines = here[at : at + len(heads) - 1 - place]
        self._texts = list(map(bytes.removeprefix, lines, cast("list[bytes]", heads[place : place + len(lines)])))
        # A line that does not begin with its head is handed back itself.
        self._same = list(map(is_, self._texts, lines))
        self._same.append(True)

    def texts(self, at: int) -> list[bytes]:
        """What stands behind the heads, from a line of the window on as far as they match."""
        begin = at - self._at
        return self._texts[begin : self._same.index(True, begin)]


class _Reader:
    """Reads a body window by window: what is compared stays in the processor's cache."""

    def __init__(
        self,
        before: Template,
        body: bytes,
        maker: SeriesMaker,
        numbers: dict[bytes, int],
        line_of: NDArray[np.int64],
    ) -> None:
        self._before = before
        self._heads = before.heads.listed()
        self._body = body
        self._written = maker.written()
        self._maker = maker
        self._numbers = numbers
        self._line_of = line_of
        self._plan = _Plan()
        self._type = b""
        self._type_lines = [line for line, _ in before.types]
        self._most_new = len(before.lines) * _MOST_NEW + 10
        self._line = 0  # where the window begins
        self._place = 0  # which line of the template comes next

    def read(self) -> _Plan | None:
        """What every line is; None when something is not as usual."""
        stream = BytesIO(self._body)
        size = _MOST_LINES
        while here := list(islice(stream, size)):
            moves = self._take(here)
            if moves is None:
                return None
            # Whatever is compared before a run ends elsewhere is compared in vain: less, where that happens often.
            size = _LEAST_LINES if moves else min(2 * size, _MOST_LINES)
            self._line += len(here)
        if self._written:
            self._written.end()
        return self._plan

    def _take(self, here: list[bytes]) -> int | None:
        """Take the lines of a window; how often the run went on elsewhere, None when something is not as usual."""
        heads = self._heads
        at = moves = 0
        compared: _Compared | None = None
        while at < len(here):
            head = heads[self._place]
            if head is not None and here[at].startswith(head) and self._type == self._type_at(self._place):
                if compared is None or compared.shift != self._place - at:
                    moves += compared is not None
                    compared = _Compared(here, at, heads, self._place)
                at = self._run(compared, at)
                continue
            at = self._strangers(here, at)
            if at < 0:
                return None
        return moves

    def _strangers(self, here: list[bytes], at: int) -> int:
        """Take new lines up to one that the template has; where that stands, or -1 when something is not as usual."""
        begin, head = self._line, self._heads[self._place]
        number = at
        while number < len(here):
            line = here[number]
            if number > at and head is not None and line.startswith(head):
                return number
            found = self._numbers.get(line[: line.rfind(b" ") + 1])
            if found is not None:
                place = int(self._line_of[found])
                if self._type_at(place) == self._type:
                    self._place = place
                    return number
            taken = self._take_row(here, number) if found is None else 0
            if not taken and not self._take_new(line, begin + number):
                return -1
            number += taken or 1
        return len(here)

    def _take_row(self, here: list[bytes], at: int) -> int:
        """Take new lines of which the like has been seen, all at once; how many."""
        row = self._written.row(here, at, self._type) if self._written else None
        if row is None:
            return 0
        many = [*map(self._numbers.__contains__, row.heads), True].index(True)
        plan = self._plan
        first = len(plan.new_places)
        if first + many > self._most_new:
            return 0
        plan.heads += row.heads[:many]
        plan.texts += row.texts[:many]
        plan.runs.append((_NEW + first, many))
        plan.new_places += range(len(plan.new), len(plan.new) + many)
        plan.new += row.series[:many]
        return many

    def _run(self, compared: _Compared, at: int) -> int:
        """Take the lines that begin with the heads of the template; where they end."""
        plan, place = self._plan, self._place
        texts = compared.texts(at)
        run = len(texts)
        plan.texts += texts
        plan.heads += self._heads[place : place + run]
        if plan.runs and sum(plan.runs[-1]) == place and plan.runs[-1][0] >= 0:
            plan.runs[-1] = (plan.runs[-1][0], plan.runs[-1][1] + run)
        else:
            plan.runs.append((place, run))
        self._pass_types(self._line + at, place, run)
        self._place += run
        return at + run

    def _type_at(self, place: int) -> bytes:
        return self._before.types[bisect_right(self._type_lines, place) - 1][1]

    def _pass_types(self, line: int, place: int, run: int) -> None:
        """The TYPE lines within a run mean here what they mean there."""
        first = bisect_right(self._type_lines, place)
        last = bisect_right(self._type_lines, place + run)
        for at, kind in self._before.types[first:last]:
            self._set_type(line + at - place, kind)

    def _set_type(self, line: int, kind: bytes) -> None:
        if kind != self._type:
            self._type = kind
            self._plan.types.append((line, kind))

    def _take_new(self, line: bytes, number: int) -> bool:
        """A line that the template does not have; False when it is not of the usual form."""
        plan = self._plan
        if len(plan.new_places) >= self._most_new:
            return False
        known = self._written.of_line(line, self._type) if self._written else None
        encoded: Encoded | None
        if known is not None:
            value_at, encoded = known
            head = line[:value_at]
        elif line.startswith(b"#"):
            return self._take_comment(line, number)
        else:
            found = read_line(line, self._type)
            if found is None:
                return False
            try:
                encoded = self._maker.make(found.labels)
            except ScrapeFailed:
                return False
            head = found.head
        plan.heads.append(head)
        plan.texts.append(line[len(head) :])
        plan.runs.append((_NEW + len(plan.new_places), 1))
        if encoded is None:
            plan.new_places.append(DROPPED)
        else:
            plan.new_places.append(len(plan.new))
            plan.new.append(encoded)
        return True

    def _take_comment(self, line: bytes, number: int) -> bool:
        """A comment that is new: read by the parser alone, for it is a matter of its own."""
        parser = self._before.dialect.parser(line)
        try:
            parser.step()
        except ScrapeFailed:
            return False
        if parser.ended or parser.position != len(line):
            return False
        plan = self._plan
        plan.heads.append(line)
        plan.runs.append((_NEW + len(plan.new_places), 1))
        plan.new_places.append(SILENT)
        if parser.metric_type:
            self._set_type(number + 1, rewriting(parser.metric_type))
        return True


def _result(
    before: Template, plan: _Plan, sources: NDArray[np.int64], text: bytes, *, heads_bytes: int, tried: Tried
) -> Patched | None:
    sheet = before.sheet
    assert not isinstance(sheet, PressedSheet)
    repeats = sources[sources >= 0]
    if len(repeats) and np.bincount(repeats).max() > 1:
        return None  # a line stands twice
    hashes = hashes_of([labels for _, labels in plan.new])
    if len(np.unique(hashes)) < len(hashes) or sheet.holds_any(hashes):
        return None  # a series that is there, written in another way
    lines = np.where(sources >= 0, before.lines[np.maximum(sources, 0)], 0).astype(np.int32)
    known = (sources >= 0) & (lines >= 0)
    kept = np.zeros(len(sheet), bool)
    kept[lines[known]] = True
    rank = np.cumsum(kept, dtype=np.int32) - 1
    lines[known] = rank[lines[known]]
    fresh = sources < 0
    new_places = np.array(plan.new_places, np.int32)
    lines[fresh] = np.where(new_places >= 0, new_places + int(kept.sum()), new_places)[sources[fresh] - _NEW]
    plan.heads.append(None)  # the list is handed over: all of its objects would have to be touched for a copy
    template = Template(
        before.dialect,
        Heads(plan.heads, heads_bytes),
        lines,
        sheet.splice(kept, plan.new, hashes),
        types=plan.types,
        exemplars=_moved(before, sources, lines),
    )
    values = template.values(text)
    if values is None:
        return None
    counts = Counts(template.samples, template.samples - template.dropped, len(plan.new))
    if len(tried):
        new_heads = [plan.heads[line] for line in np.flatnonzero(fresh & (lines >= 0)).tolist()]
        counts.series_added = sum(tried.is_new(head) for head in new_heads if head is not None)
    return Patched(template, values, counts, kept)


def _sources(plan: _Plan) -> NDArray[np.int64]:
    """By line of the body: the line of the template, or _NEW + the number of the new line."""
    starts = np.array([start for start, _ in plan.runs], np.int64)
    lengths = np.array([length for _, length in plan.runs], np.int64)
    firsts = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) - np.repeat(firsts - starts, lengths)


def _moved(before: Template, sources: NDArray[np.int64], lines: NDArray[np.int32]) -> dict[int, LastExemplar]:
    """Exemplars by sample index, as the samples stand now."""
    if not before.exemplars:
        return {}
    sample_before = np.cumsum(before.lines != SILENT) - 1
    line_of = {int(sample): line for line, sample in enumerate(sample_before.tolist()) if before.lines[line] != SILENT}
    wanted = {line_of[sample]: last for sample, last in before.exemplars.items()}
    samples = np.cumsum(lines != SILENT) - 1
    return {int(samples[line]): wanted[source] for line, source in enumerate(sources.tolist()) if source in wanted}
