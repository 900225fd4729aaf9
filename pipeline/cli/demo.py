"""`headrace demo`: real Envoys, a real Kafka, an outage: watch it lose nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--steady", "steady_s", default=30.0, show_default=True, metavar="SECONDS", help="Before the outage.")
@click.option("--outage", "outage_s", default=20.0, show_default=True, metavar="SECONDS", help="One backend is away.")
@click.option("--rate", "requests_per_s", default=40.0, show_default=True, help="Requests a second through each Envoy.")
@click.option("--fast", is_flag=True, help="A few seconds of everything.")
@click.option("--keep", is_flag=True, help="Leave everything running at the end, until Ctrl-C.")
@click.option("--plain", is_flag=True, help="Lines instead of the live view; so it is without a terminal.")
@click.option("--no-real-backends", is_flag=True, help="Sinks only, also where Prometheus or VictoriaMetrics is there.")
@click.option(
    "--storage.path",
    "storage",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep everything in this folder. [a temporary one]",
)
@click.option("--sabotage", default="", hidden=True)
def command(fast: bool, no_real_backends: bool, **given: Any) -> None:  # fmt: skip
    """Two real Envoys, scraped and tailed through a real Kafka to several backends; one of them goes away and returns.

    Ends by itself; exit code 0 only if nothing was lost: every sample that Kafka acknowledged and every log line is at
    each backend, in order.
    """
    from pipeline.demo.settings import Settings  # noqa: PLC0415 — --help needs none of these
    from pipeline.demo.show import show  # noqa: PLC0415

    if fast:
        given |= {"steady_s": 6.0, "outage_s": 5.0, "after_s": 2.0}
    sys.exit(show(Settings(real_backends=not no_real_backends, **given)))
