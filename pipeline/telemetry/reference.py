"""The table of docs/metrics.md, from the catalogue: ``python -m pipeline.telemetry.reference`` writes it anew.

A test compares, so no metric can be added or renamed without the page.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.telemetry import catalogue
from pipeline.telemetry.metrics import Metric

PAGE = Path("docs/metrics.md")
BEGIN, END = "<!-- begin of the generated part -->", "<!-- end of the generated part -->"


def table() -> str:
    """Every metric of the catalogue in its order: name, kind, labels, meaning."""
    metrics = [value for value in vars(catalogue).values() if isinstance(value, Metric)]
    rows = [f"| `{one.name}` | {one.kind} | {', '.join(one.labels) or '–'} | {_cell(one.help)} |" for one in metrics]
    return "\n".join(("| metric | kind | labels | meaning |", "|---|---|---|---|", *rows))


def renewed(page: str) -> str:
    """The page with its generated part made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
