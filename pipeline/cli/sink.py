"""`headrace sink`: a small receiver for development that proves what it got."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipeline.telemetry import logging as log_lines

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class _Flags:
    """The command line."""

    listen_address: str
    address_file: Path | None
    strict: bool
    expect_interval: str
    sequence_key: str
    journal_file: Path | None
    max_series: int
    offenders: int
    fail_status: int | None
    fail_slow: str
    fail_hang: bool
    fail_for: str
    log_level: str
    log_format: str

    @property
    def mode(self) -> str:
        """How to misbehave from the start; empty: not."""
        if self.fail_status is not None:
            return f"status:{self.fail_status}"
        if self.fail_slow:
            return f"slow:{self.fail_slow}"
        return "hang" if self.fail_hang else ""


@click.command()
@click.option(
    "--web.listen-address",
    "listen_address",
    default="127.0.0.1:9099",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to receive; port 0 picks a free one.",
)
@click.option("--web.address-file", "address_file", type=_FILE, hidden=True)
@click.option("--strict", is_flag=True, help="Refuse what Prometheus 2.42 refuses: out of order, duplicate timestamp.")
@click.option(
    "--expect-interval",
    default="",
    metavar="DURATION",
    help="The step between samples; a longer one is a gap. [each series' own usual step]",
)
@click.option("--sequence-key", default="", metavar="KEY", help="Number in JSON lines: proves that none is missing.")
@click.option(
    "--journal", "journal_file", type=_FILE, help="Append what is accepted, before answering; continue from it."
)
@click.option("--max-series", default=200_000, show_default=True, help="Series and streams to follow one by one.")
@click.option("--offenders", default=20, show_default=True, help="Bad series and streams that a report lists.")
@click.option("--fail.status", "fail_status", type=click.IntRange(300, 599), help="Answer this and keep nothing.")
@click.option("--fail.slow", "fail_slow", default="", metavar="DURATION", help="Wait before each answer.")
@click.option("--fail.hang", "fail_hang", is_flag=True, help="Never answer.")
@click.option("--fail.for", "fail_for", default="", metavar="DURATION", help="Fail so long, then behave. [for ever]")
@click.option("--log.level", "log_level", type=click.Choice(log_lines.LEVELS), default="info", show_default=True)
@click.option("--log.format", "log_format", type=click.Choice(log_lines.FORMATS), default="logfmt", show_default=True)
def command(**given: Any) -> None:
    """Receive remote write (/api/v1/write) and Loki push (/loki/api/v1/push), and prove what came.

    /api/v1/report: per series no gap and no reorder, duplicates counted; per log stream no line missing.
    POST /control {"mode": "status:503", "for_s": 5} has it misbehave; modes: ok, down, hang, discard, status:N, kept:N,
    slow:2s.
    """
    from pipeline.clock import SystemClock  # noqa: PLC0415 — --help needs none of these
    from pipeline.devsink.behaviour import Behaviour, Mode, duration_s  # noqa: PLC0415
    from pipeline.devsink.journal import Journal, read  # noqa: PLC0415
    from pipeline.devsink.ledger import Ledger  # noqa: PLC0415
    from pipeline.devsink.series import Rules  # noqa: PLC0415
    from pipeline.devsink.service import SinkOptions, SinkService  # noqa: PLC0415
    from pipeline.lifecycle.main import leave, serve  # noqa: PLC0415
    from pipeline.telemetry.metrics import Telemetry  # noqa: PLC0415

    flags = _Flags(**given)
    log_lines.setup(flags.log_level, flags.log_format, "sink")
    telemetry, clock = Telemetry(), SystemClock()
    options = SinkOptions(
        strict=flags.strict,
        sequence_key=flags.sequence_key,
        expect_interval_ms=int(duration_s(flags.expect_interval) * 1000) if flags.expect_interval else 0,
        journal=str(flags.journal_file or ""),
        max_series=flags.max_series,
        offenders=flags.offenders,
    )
    behaviour = Behaviour(clock)
    if flags.mode:
        behaviour.set(Mode.parse(flags.mode), for_s=duration_s(flags.fail_for) if flags.fail_for else None)
    had_journal = flags.journal_file is not None and flags.journal_file.exists()
    ledger = Ledger(
        Rules(options.expect_interval_ms),
        strict=options.strict,
        sequence_key=options.sequence_key,
        max_series=options.max_series,
        journal=Journal(flags.journal_file) if flags.journal_file else None,
    )
    if had_journal and flags.journal_file:
        ledger.restore(read(flags.journal_file))
    service = SinkService(ledger, behaviour, options=options, telemetry=telemetry, clock=clock)
    leave(
        serve(
            service,
            telemetry=telemetry,
            listen_address=flags.listen_address,
            address_file=flags.address_file,
            deadline_s=3.0,
        )
    )
