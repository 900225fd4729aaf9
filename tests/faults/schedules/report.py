"""The figures of many runs: for the terminal, for bench-results/, for docs/benchmarks.md."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from tests.faults.schedules.plan import Kind

if TYPE_CHECKING:
    from rich.console import Console

    from tests.faults.schedules.play import Outcome

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- faults:schedules -->", "<!-- /faults:schedules -->"


def line(outcome: Outcome) -> str:
    """One run in one line."""
    verdict = "FAILED" if outcome.findings else "ok"
    return (
        f"seed {outcome.seed:4d}: {verdict}; {sum(outcome.events.values())} events, {outcome.samples} samples,"
        f" {outcome.lines} lines, {outcome.repeats} repeated (worst {outcome.worst_repeat}),"
        f" {outcome.dead_letters} dead letters, {outcome.seconds:.0f} s"
    )


@dataclass(frozen=True)
class Report:
    """What there is to say about all of them."""

    outcomes: list[Outcome]
    seconds: float

    @classmethod
    def of(cls, outcomes: list[Outcome], seconds: float) -> Report:
        """`seconds`: of all runs together, by the clock on the wall."""
        return cls(outcomes, seconds)

    @property
    def events(self) -> Counter[str]:
        """How often each kind happened."""
        return sum((Counter(one.events) for one in self.outcomes), Counter[str]())

    def rows(self) -> list[tuple[str, str]]:
        """What was done, and what was found."""
        outcomes = self.outcomes
        failed = [one.seed for one in outcomes if one.findings]
        deliveries = sum(one.samples * 2 + one.lines for one in outcomes)
        repeats = sum(one.repeats for one in outcomes)
        return [
            ("schedules", f"{len(outcomes):,}"),
            ("failed", f"{len(failed):,}" + (f" ({', '.join(map(str, failed))})" if failed else "")),
            ("samples and lines in Kafka", f"{sum(o.samples for o in outcomes):,}; {sum(o.lines for o in outcomes):,}"),
            ("repeated at a backend", f"{repeats:,} ({repeats / max(deliveries, 1):.2%} of what was delivered)"),
            ("worst repeat in a row, items", f"{max((one.worst_repeat for one in outcomes), default=0):,}"),
            ("dead letters, all of them poison", f"{sum(one.dead_letters for one in outcomes):,}"),
            ("agents that ended by themselves", f"{sum(one.restarts for one in outcomes):,}"),
            ("seconds a schedule, median", f"{_median([one.seconds for one in outcomes]):.0f}"),
            ("seconds in all", f"{self.seconds:.0f}"),
        ]

    def show(self, console: Console) -> None:
        """Two tables."""
        events = Table("event", "times", title="what happened")
        for kind in Kind:
            events.add_row(kind, f"{self.events[kind]:,}")
        found = Table("", "", title="what was found", show_header=False)
        for row in self.rows():
            found.add_row(*row)
        console.print(events, found)

    def keep(self, folder: Path) -> None:
        """As JSON."""
        folder.mkdir(exist_ok=True)
        file = folder / f"faults-{time.strftime('%Y%m%dT%H%M%S')}.json"
        file.write_text(json.dumps([asdict(outcome) for outcome in self.outcomes], indent=1) + "\n")

    def write(self) -> None:
        """Between its marks in the document."""
        seeds = f"{self.outcomes[0].seed}-{self.outcomes[-1].seed}"
        events = "; ".join(f"{kind} {self.events[kind]}" for kind in Kind)
        lines = [
            f"`make faults SEEDS={seeds} FAULTS_FLAGS=--write` on {time.strftime('%Y-%m-%d')} at commit {_commit()}.",
            "",
            "| | |",
            "|---|---:|",
            *(f"| {name} | {value} |" for name, value in self.rows()),
            "",
            f"What happened, how often: {events}.",
        ]
        text = DOCUMENT.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
