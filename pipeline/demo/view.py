"""What the demo shows: a live table at a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.demo.snapshot import Snapshot

if TYPE_CHECKING:
    from pipeline.demo.snapshot import BackendState

_EVENTS_SHOWN = 7
_WIDE = 132
_WAY = ("state", "lag", "behind", "received", "missing")  # lag in records, behind in samples or lines
_LEDGER = ("in", "delivered", "ruled out", "rejected", "dead", "pending")
_KEYS = {"ruled out": "ruled_out", "dead": "dead_lettered"}
_RATE_WINDOW_S = 3.0
_LINE_EVERY_S = 5.0
_TONES = {"delivering": "green", "idle": "green", "retrying": "yellow", "paused": "red", "starting": "dim"}


class Rates:
    """Samples and lines a second over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[Snapshot] = deque()

    def add(self, snapshot: Snapshot) -> tuple[float, float]:
        """Take one snapshot; (samples/s, lines/s) acknowledged by Kafka."""
        self._seen.append(snapshot)
        while snapshot.at_s - self._seen[0].at_s > _RATE_WINDOW_S:
            self._seen.popleft()
        first = self._seen[0]
        elapsed = snapshot.at_s - first.at_s
        if elapsed <= 0:
            return 0.0, 0.0
        samples = (snapshot.samples_acked - first.samples_acked) / elapsed
        return samples, (snapshot.lines_acked - first.lines_acked) / elapsed


class View(Protocol):
    """Where the demo tells its story."""

    def __enter__(self) -> View:
        """Begin."""

    def __exit__(self, *error: object) -> None:
        """Leave the terminal as it was."""

    def phase(self, text: str) -> None:
        """What is going on now."""

    def event(self, text: str) -> None:
        """Something happened."""

    def show(self, snapshot: Snapshot) -> None:
        """The state of things; called about twice a second."""


def make_view(console: Console, *, plain: bool) -> View:
    """A live view where there is a terminal and nobody asked for plain lines."""
    return PlainView(console) if plain or not console.is_terminal else LiveView(console)


class PlainView:
    """One line for each event, and one with the state every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rates = Rates()
        self._shown_at_s = 0.0

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def phase(self, text: str) -> None:
        """A line."""
        self.event(text)

    def event(self, text: str) -> None:
        """A line with the time of day."""
        self._console.print(f"{_clock()} {text}", markup=False, highlight=False, soft_wrap=True)

    def show(self, snapshot: Snapshot) -> None:
        """A line every few seconds."""
        samples, lines = self._rates.add(snapshot)
        if snapshot.at_s - self._shown_at_s < _LINE_EVERY_S:
            return
        self._shown_at_s = snapshot.at_s
        parts = [
            f"targets {snapshot.targets_up}/{snapshot.targets} up",
            f"{samples:.0f} samples/s",
            f"{lines:.0f} lines/s",
        ]
        if not snapshot.ready:
            parts = [snapshot.reason or "starting"]
        parts += [_short(backend, snapshot) for backend in snapshot.backends]
        self.event(" · ".join(parts))


class LiveView:
    """A table that is drawn anew twice a second."""

    def __init__(self, console: Console) -> None:
        self._rates = Rates()
        self._events: deque[str] = deque(maxlen=_EVENTS_SHOWN)
        self._phase = ""
        self._snapshot = Snapshot(0.0)
        self._speed = (0.0, 0.0)
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self.render)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def phase(self, text: str) -> None:
        """The headline."""
        self._phase = text
        self.event(text)

    def event(self, text: str) -> None:
        """One more line below the table."""
        self._events.append(f"{_clock()} {text}")

    def show(self, snapshot: Snapshot) -> None:
        """Draw this from now on."""
        self._snapshot = snapshot
        self._speed = self._rates.add(snapshot)

    def render(self) -> Panel:
        """What stands on the screen now."""
        snapshot = self._snapshot
        samples, lines = self._speed
        head = Text.assemble(
            ("targets ", "dim"), f"{snapshot.targets_up}/{snapshot.targets} up   ",
            ("Kafka ", "dim"), f"{snapshot.kafka or '…'}   ",
            f"{snapshot.samples_acked:,} samples ({samples:,.0f}/s)   ",
            f"{snapshot.lines_acked:,} lines ({lines:,.0f}/s)",
        )  # fmt: skip
        if not snapshot.ready:
            head = Text(snapshot.reason or "starting", style="yellow")
        events = Text("\n".join(self._events), style="dim")
        return Panel(
            Group(head, Text(), *_tables(snapshot, self._console.width), Text(), events),
            title=f"headrace demo: {self._phase}",
        )


def _tables(snapshot: Snapshot, width: int) -> list[Table | Text]:
    """One table where there is room for it, else one about the way and one with the ledger."""
    if width >= _WIDE:
        return [_table(snapshot, (*_WAY, *_LEDGER))]
    return [_table(snapshot, _WAY), Text(), _table(snapshot, _LEDGER)]


def _table(snapshot: Snapshot, columns: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("backend", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="left" if column == "state" else "right", no_wrap=True)
    for backend in snapshot.backends:
        cells = _cells(backend, snapshot)
        table.add_row(backend.name, *(cells[column] for column in columns))
    return table


def _cells(backend: BackendState, snapshot: Snapshot) -> dict[str, Text | str]:
    return {
        "state": Text(backend.state, style=_TONES.get(backend.state, "")),
        "lag": "…" if backend.lag_records is None else f"{backend.lag_records:,}",
        "behind": f"{snapshot.behind(backend):,}",
        "received": "" if backend.received is None else f"{backend.received.unique:,}",
        "missing": _missing(backend, snapshot),
        **{column: f"{backend.ledger.get(_KEYS.get(column, column), 0):,}" for column in _LEDGER},
    }


def _missing(backend: BackendState, snapshot: Snapshot) -> Text:
    """What has neither arrived nor is on its way. While data flows, what lies in Kafka is on its way."""
    missing = backend.open
    if backend.settled and backend.received is not None:
        missing = max(missing, backend.received.missing)
    return Text(f"{missing:,}", style="green" if not missing else "bold red")


def _short(backend: BackendState, snapshot: Snapshot) -> str:
    text = f"{backend.name} {backend.state}, behind {snapshot.behind(backend):,}"
    missing = _missing(backend, snapshot).plain
    return text if missing == "0" else f"{text}, MISSING {missing}"


def _clock() -> str:
    return time.strftime("%H:%M:%S")
