"""A report for people: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from agents.offline.times import show as shown_time
from agents.status.report import CLOSED, MISSING, OPEN, age_s
from pipeline.web.pages import count, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents.ledger.totals import Totals
    from agents.status.report import Line, Report

_HEAD = ("ledger", "agents", "lag", "oldest waiting", "retention used")
_COLUMNS = ("in", "delivered", "ruled out", "rejected", "dead letters", "open", "missing")
_WIDE = 140
"""Columns of a terminal that holds all of a row."""
_COLOURS = {OPEN: "bold red", MISSING: "bold red", CLOSED: "green"}


def lines(reports: Sequence[Report], now_ms: int, *, partitions: bool) -> Iterator[str]:
    """`key=value` lines: one a backend, one a partition where asked for, one a problem."""
    for one in reports:
        name = f"backend={one.found.backend.name}"
        yield f"{name} {_plain(one.total, one.verdict, now_ms)} agents={one.found.agents}"
        for number, line in one.lines.items() if partitions else ():
            yield f"{name} partition={number} {_plain(line, line.verdict, now_ms)}"
        for number, said in _problems(one):
            yield f'{name} partition={number} problem="{said}"'


def table(reports: Sequence[Report], now_ms: int, *, partitions: bool) -> None:
    """On this terminal: one table, or two where it is narrow."""
    console = Console(highlight=False)
    rows: list[tuple[Text, list[Text]]] = []
    for one in reports:
        name = Text(f"{one.found.backend.name} ({one.found.backend.kind.unit})")
        rows.append((name, _cells(one.total, one.verdict, now_ms, agents=str(one.found.agents))))
        for number, line in one.lines.items() if partitions else ():
            name = Text(f"  partition {number}", style="dim")
            rows.append((name, _cells(line, line.verdict, now_ms, agents="")))
    titles = (*_HEAD, *_COLUMNS)
    halves = [slice(len(titles))] if console.width >= _WIDE else [slice(len(_HEAD)), slice(len(_HEAD), len(titles))]
    for half in halves:
        grid = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
        grid.add_column("backend", no_wrap=True)
        for title in titles[half]:
            grid.add_column(title, justify="left" if title == "ledger" else "right", no_wrap=True)
        for name, cells in rows:
            grid.add_row(name, *cells[half])
        # Nothing is cut off: where even a half is too wide, the terminal breaks its lines.
        wide = Measurement.get(console, console.options.update(max_width=1000), grid).maximum
        Console(highlight=False, width=max(console.width, wide)).print(grid)
    for one in reports:
        for number, said in _problems(one):
            console.print(Text(f"{one.found.backend.name}, partition {number}: {said}", style="red"))
        for number, line in one.lines.items():
            for incident in line.totals.incidents if line.totals else ():
                when = shown_time(incident.time_ms)
                told = f"{when} {incident.kind}: offsets {incident.start} to {incident.end}"
                console.print(f"{one.found.backend.name}, partition {number}: {told}")


def _problems(one: Report) -> Iterator[tuple[int, str]]:
    for number, line in one.lines.items():
        for said in line.problems:
            yield number, said


def _numbers(totals: Totals | None) -> list[int | None]:
    if totals is None:
        return [None] * len(_COLUMNS)
    outcomes = (totals.ruled_out, totals.rejected, totals.dead_lettered)
    return [
        totals.taken,
        totals.delivered,
        *(one.total() for one in outcomes),
        totals.difference,
        totals.missing_items,
    ]


def _cells(line: Line, verdict: str, now_ms: int, *, agents: str) -> list[Text]:
    age = age_s(line.oldest_ms, now_ms)
    percent = f"{line.used:.0%}" if line.oldest_ms is not None else "–"
    warn = "bold red" if line.used >= 0.8 else "yellow" if line.used >= 0.5 else ""
    numbers = _numbers(line.totals)
    cells = [Text("–" if number is None else count(number)) for number in numbers]
    for place in (5, 6):
        if numbers[place]:
            cells[place].stylize("bold red")
    return [
        Text(verdict, style=_COLOURS.get(verdict, "")),
        Text(agents),
        Text("–" if line.lag is None else count(line.lag)),
        Text("–" if age is None else f"{span(age)} ago"),
        Text(percent, style=warn),
        *cells,
    ]


def _plain(line: Line, verdict: str, now_ms: int) -> str:
    age = age_s(line.oldest_ms, now_ms)
    values: dict[str, str | int | None] = {
        "ledger": verdict.replace(" ", "_"),
        "lag_records": line.lag,
        "oldest_undelivered": None if line.oldest_ms is None else shown_time(line.oldest_ms),
        "oldest_undelivered_age_s": None if age is None else f"{age:.0f}",
        "retention_used": f"{line.used:.4f}",
        "backfill_records": line.backfill,
    }
    names = ("in", "delivered", "ruled_out", "rejected", "dead_lettered", "difference", "missing_items")
    values |= dict(zip(names, _numbers(line.totals), strict=True))
    values["missing_records"] = None if line.totals is None else line.totals.missing_records
    values["expired_records"] = line.expired
    return " ".join(f"{name}={'-' if value is None else value}" for name, value in values.items())
