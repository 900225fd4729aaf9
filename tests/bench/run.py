"""`make bench`: what headrace costs, side by side with Prometheus in agent mode, on this machine.

`python -m tests.bench.run [--seconds N] [--runs N] [--write]`. Results go to bench-results/ as JSON; `--write` puts the
table into docs/benchmarks.md, between its markers.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.bench.metrics import Load, Run, measure

HERE = Path(__file__).resolve().parents[2]
DOCUMENT = HERE / "docs/benchmarks.md"
BEGIN, END = "<!-- bench:metrics -->", "<!-- /bench:metrics -->"
GOALS = {0: 0.4, 10: 0.6}
RSS_GOAL_MB = 150
PROCESSES = ("scraper", "agent", "broker", "prometheus")


def main() -> int:
    """Measure, print, keep. Exit code 0 also when a goal is missed: a figure is not a failure."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="measured seconds of each run")
    parser.add_argument("--runs", type=int, default=1, help="runs of each kind; the median counts")
    parser.add_argument("--rules", type=int, nargs="*", default=[0, 10], choices=[0, 10])
    parser.add_argument("--write", action="store_true", help="write the table to docs/benchmarks.md")
    arguments = parser.parse_args()
    load = Load(seconds=arguments.seconds)
    console = Console(highlight=False)
    runs: list[Run] = []
    for number in range(arguments.runs):
        for rules in arguments.rules:
            title = f"run {number + 1} of {arguments.runs}, {rules} rules"
            with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name, console.status(title) as status:
                say = lambda text, status=status, title=title: status.update(f"{title}: {text}")  # noqa: E731
                runs.append(measure(load, Path(name), rules, say))
            console.print(f"{title}: {runs[-1].ratio:.2f} of Prometheus ({runs[-1].ours:.2f} µs a sample)")
    middle = [_median([run for run in runs if run.rules == rules]) for rules in arguments.rules]
    console.print(_table(middle))
    _keep(load, runs)
    if arguments.write:
        _write(load, middle, arguments.runs)
    return 0


def _median(runs: list[Run]) -> Run:
    return Run(
        runs[0].rules,
        runs[0].samples,
        {name: median(run.cpu_us[name] for run in runs) for name in PROCESSES},
        {name: median(run.rss_mb[name] for run in runs) for name in PROCESSES},
    )


def _rows(run: Run) -> list[tuple[str, str, str]]:
    rows = [(name, f"{run.cpu_us[name]:.2f}", f"{run.rss_mb[name]:.0f}") for name in PROCESSES]
    goal = GOALS[run.rules]
    return [
        *rows,
        ("scraper + agent", f"{run.ours:.2f}", ""),
        ("ratio to prometheus", f"{run.ratio:.2f} (goal ≤ {goal})", ""),
    ]


def _table(runs: list[Run]) -> Table:
    table = Table(title="CPU and memory, 100,000 samples a second")
    for heading in ("", "CPU µs a sample", f"RSS MB (goal ≤ {RSS_GOAL_MB})"):
        table.add_column(heading, justify="left" if not heading else "right")
    for run in runs:
        table.add_section()
        table.add_row(f"[bold]{run.rules} rules[/bold]", "", "")
        for row in _rows(run):
            table.add_row(*row)
    return table


def _keep(load: Load, runs: list[Run]) -> None:
    folder = HERE / "bench-results"
    folder.mkdir(exist_ok=True)
    file = folder / f"metrics-{time.strftime('%Y%m%dT%H%M%S')}.json"
    result = {
        "load": asdict(load),
        "python": platform.python_version(),
        "cpus": _cpu(),
        "runs": [asdict(run) | {"ratio": run.ratio} for run in runs],
    }
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"kept in {file.relative_to(HERE)}", file=sys.stderr)


def _write(load: Load, runs: list[Run], count: int) -> None:
    lines = [
        f'`make bench BENCH_FLAGS="--seconds {load.seconds} --runs {count} --write"` on {time.strftime("%Y-%m-%d")}:'
        f" {_cpu()}, Python {platform.python_version()}, medians."
        f" {load.targets} targets × {load.series:,} series, every second; CPU µs a sample.",
        "",
        "| | no rules | 10 write_relabel rules | RSS MB |",
        "|---|---:|---:|---:|",
    ]
    by_rules = {run.rules: run for run in runs}
    for name in PROCESSES:
        cells = [f"{by_rules[rules].cpu_us[name]:.2f}" if rules in by_rules else "" for rules in GOALS]
        rss = max(run.rss_mb[name] for run in runs)
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {rss:.0f} |")
    ours = [f"{by_rules[rules].ours:.2f}" if rules in by_rules else "" for rules in GOALS]
    ratios = [
        f"**{by_rules[rules].ratio:.2f}** (goal ≤ {goal})" if rules in by_rules else "" for rules, goal in GOALS.items()
    ]
    lines += [
        f"| scraper + agent | {ours[0]} | {ours[1]} | |",
        f"| ratio to Prometheus agent | {ratios[0]} | {ratios[1]} | |",
    ]
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
