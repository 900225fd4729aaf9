"""What the demo knows at one moment, and how it gets to know: the run's status, the sinks' reports, the log files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.demo.files import LOGS_BACKEND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.clock import Clock
    from pipeline.demo.backends import Sink
    from pipeline.demo.envoy import Envoy
    from pipeline.web.peek import Peek

LEDGER = ("in", "delivered", "ruled_out", "rejected", "dead_lettered", "pending")


@dataclass(frozen=True, slots=True)
class Received:
    """What a sink proves. `unique` leaves repeats out; `missing` are holes in the sequence of lines."""

    unique: int
    duplicates: int
    reorders: int
    gaps: int = 0
    missing: int = 0
    stale_markers: int = 0
    offenders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendState:
    """One backend: what its agent says, and what the sink behind it has (None: no sink, or stopped).

    `markers`: so many records of the lag may be none: after the tailer's last transaction its marker stands in each
    partition, and nothing is ever committed over that.
    """

    name: str
    kind: str
    state: str = "starting"
    reason: str = ""
    lag_records: int | None = None
    ledger: Mapping[str, int] = field(default_factory=dict)
    received: Received | None = None
    markers: int = 0

    @property
    def open(self) -> int:
        """What went into the agent and has no outcome and is not pending: anything but 0 is a loss."""
        return self.ledger.get("in", 0) - sum(self.ledger.get(column, 0) for column in LEDGER[1:])

    @property
    def done(self) -> int:
        """What has an outcome."""
        return self.ledger.get("in", 0) - self.ledger.get("pending", 0)

    @property
    def settled(self) -> bool:
        """Nothing under way and nothing waiting."""
        if self.lag_records is None or self.lag_records > self.markers:
            return False
        return not self.ledger.get("pending", 0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything, at one moment. `at_s` is monotonic; samples and lines count from the start of the demo."""

    at_s: float
    ready: bool = False
    reason: str = ""
    kafka: str = ""
    targets: int = 0
    targets_up: int = 0
    samples_acked: int = 0
    samples_dropped: int = 0
    lines_written: int = 0
    lines_acked: int = 0
    backends: tuple[BackendState, ...] = ()

    def backend(self, name: str) -> BackendState:
        """The backend of this name, as good as unknown when the run does not list it yet."""
        for backend in self.backends:
            if backend.name == name:
                return backend
        return BackendState(name, "")

    def behind(self, backend: BackendState) -> int:
        """Samples or lines that Kafka has and this backend has not yet."""
        return max(0, self.acked(backend.kind) - backend.done)

    def acked(self, kind: str) -> int:
        """Samples or lines that Kafka has acknowledged."""
        return self.lines_acked if kind == "logs" else self.samples_acked


class Watcher:
    """Takes snapshots. Whoever does not answer is shown as not answering; a snapshot never fails."""

    def __init__(self, peek: Peek, clock: Clock, sinks: Sequence[Sink], envoys: Sequence[Envoy]) -> None:
        self._peek = peek
        self._clock = clock
        self._sinks = tuple(sinks)
        self._envoys = tuple(envoys)
        self._status: dict[str, Any] = {}
        self.run_address = ""

    async def look(self) -> Snapshot:
        """One snapshot. The sinks are asked after the run, so that at rest they cannot seem to be behind."""
        status = await self._ask_run()
        reports = await asyncio.gather(*(sink.report(self._peek) for sink in self._sinks))
        received = _received({sink.name: report for sink, report in zip(self._sinks, reports, strict=True) if report})
        roles = list(status.get("roles", {}).values())
        scraper, tailer = _status_of(roles, "scraper"), _status_of(roles, "tailer")
        targets = scraper.get("targets", [])
        return Snapshot(
            at_s=self._clock.monotonic(),
            ready=bool(status.get("ready")),
            reason=str(status.get("reason", "")),
            kafka=_kafka(status),
            targets=len(targets),
            targets_up=sum(target.get("health") == "up" for target in targets),
            samples_acked=_acked(scraper),
            samples_dropped=total(scraper.get("producer", {}).get("dropped_samples", 0)),
            lines_written=sum(envoy.lines_written() for envoy in self._envoys),
            lines_acked=_acked(tailer),
            backends=tuple(_backend(role, received) for role in roles if role.get("role") == "agent"),
        )

    async def _ask_run(self) -> dict[str, Any]:
        """The run's status; what it said last when a busy machine keeps it from answering."""
        status = await self._peek.json(self.run_address, "/api/v1/status") if self.run_address else {}
        self._status = status or self._status
        return self._status


def total(value: Any) -> int:
    """A number, or the sum of a number for each reason."""
    return int(sum(value.values()) if isinstance(value, dict) else value or 0)


def _status_of(roles: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    return next((role.get("status") or {} for role in roles if role.get("role") == name), {})


def _acked(status: dict[str, Any]) -> int:
    return int(status.get("producer", {}).get("acked_samples", 0))


def _kafka(status: dict[str, Any]) -> str:
    return ", ".join(status.get("kafka", {}).get("brokers", ()))


def _backend(role: dict[str, Any], received: Mapping[str, Received]) -> BackendState:
    status = role.get("status") or {}
    name = str(role.get("backend", ""))
    return BackendState(
        name=name,
        kind=str(role.get("kind", "")),
        state=str(status.get("state") or role.get("state") or "starting"),
        reason=str(status.get("reason") or ("" if status else role.get("reason", ""))),
        lag_records=status.get("lag_records"),
        ledger={column: total(status.get("ledger", {}).get(column, 0)) for column in LEDGER},
        received=received.get(name),
        markers=len(status.get("partitions", {})) if role.get("kind") == "logs" else 0,
    )


def _received(reports: Mapping[str, dict[str, Any]]) -> dict[str, Received]:
    """By backend. The lines of all sinks are those of the one backend for logs."""
    found: dict[str, Received] = {}
    for name, report in reports.items():
        metrics, logs = report["metrics"], report["logs"]
        found[name] = Received(
            unique=metrics["samples"] - metrics["duplicates"],
            duplicates=metrics["duplicates"],
            reorders=metrics["reorders"],
            gaps=metrics["gaps"],
            stale_markers=report["totals"]["stale_markers"],
            offenders=tuple(_series(one) for one in report["bad_series"]),
        )
        if logs["streams"]:
            found[LOGS_BACKEND] = Received(
                unique=logs["lines"] - logs["duplicates"],
                duplicates=logs["duplicates"],
                reorders=logs["reorders"],
                missing=logs["missing"],
                offenders=tuple(_stream(one) for one in report["bad_streams"]),
            )
    return found


def _series(one: dict[str, Any]) -> str:
    labels = {**one["labels"]}
    name = labels.pop("__name__", "")
    inner = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inner}}}: gaps {one['gaps']}, reorders {one['reorders']}"


def _stream(one: dict[str, Any]) -> str:
    inner = ", ".join(f'{key}="{value}"' for key, value in one["labels"].items())
    holes = ", ".join(f"{first}–{last}" for first, last in one["sequence"]["holes"])
    return f"{{{inner}}}: reorders {one['reorders']}, lines missing: {holes or 'none'}"
