"""Replays as Kafka remembers them: what was asked for, how far it got. Key ``replay/<id>`` of the control topic."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from agents.offline.reading import Span, TopicMissing
from topics.definitions import TopicNames, control_partition
from topics.errors import HeadraceError
from topics.record import Kind

if TYPE_CHECKING:
    from agents.offline.reading import Reader
    from agents.offline.sending import Writer

_PREFIX = "replay/"
SILENT_MS = 30_000
"""A replay that runs says so more often than this."""


class NoSuchReplay(HeadraceError):
    """An id that the control topic does not know."""


class State(StrEnum):
    """What a replay is doing, by its own last word."""

    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(slots=True)
class Job:
    """One replay. `spans`: by partition, the offsets that it reads; `next`: those below have their outcome.

    `outcome`: samples or lines by what became of them. Times are Unix milliseconds; `rate` is items a second, 0: no
    bound.
    """

    id: str
    backend: str
    kind: Kind
    from_ms: int
    to_ms: int
    match: str = ""
    rate: float = 0.0
    state: State = State.RUNNING
    created_ms: int = 0
    updated_ms: int = 0
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    next: dict[int, int] = field(default_factory=dict)
    outcome: dict[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """How many offsets it reads in all."""
        return sum(end - start for start, end in self.spans.values())

    @property
    def done(self) -> int:
        """How many of them have their outcome."""
        return sum(self.next.get(number, start) - start for number, (start, _) in self.spans.items())

    def left(self) -> dict[int, Span]:
        """What is still to be read."""
        return {number: Span(self.next.get(number, start), end) for number, (start, end) in self.spans.items()}

    def shown_state(self, now_ms: int) -> str:
        """For people: a running one that is silent was killed."""
        if self.state is State.RUNNING and now_ms - self.updated_ms > SILENT_MS:
            return "interrupted"
        return str(self.state)

    def encode(self) -> bytes:
        """As it stands in Kafka."""
        return orjson.dumps(asdict(self), option=orjson.OPT_NON_STR_KEYS)


def new_id() -> str:
    """Short enough to type."""
    return secrets.token_hex(3)


def decode(value: bytes) -> Job:
    """The inverse of `Job.encode`. Raises ValueError, KeyError, TypeError for anything else."""
    raw: dict[str, Any] = orjson.loads(value)
    raw["kind"], raw["state"] = Kind(raw["kind"]), State(raw["state"])
    raw["spans"] = {int(number): (int(start), int(end)) for number, (start, end) in raw["spans"].items()}
    raw["next"] = {int(number): int(offset) for number, offset in raw["next"].items()}
    return Job(**raw)


def partition(job_id: str) -> int:
    """Where in the control topic a replay is kept."""
    return control_partition(f"{_PREFIX}{job_id}")


def stop_key(job_id: str) -> bytes:
    """The key of a request to stop."""
    return f"{_PREFIX}{job_id}/stop".encode()


async def save(writer: Writer, names: TopicNames, job: Job) -> None:
    """Remember how far it got. Raises KafkaUnavailable."""
    await writer.store(names.control, partition(job.id), f"{_PREFIX}{job.id}".encode(), job.encode())


async def ask_to_stop(writer: Writer, names: TopicNames, job: Job) -> None:
    """Tell the process that runs it, whichever that is. Raises KafkaUnavailable."""
    await writer.store(names.control, partition(job.id), stop_key(job.id), b"{}")
    await writer.store(names.control, partition(job.id), stop_key(job.id), None)


async def read_all(reader: Reader, names: TopicNames) -> list[Job]:
    """All replays that are remembered, the oldest first. Raises KafkaUnavailable."""
    try:
        spans = await reader.spans(names.control)
    except TopicMissing:
        return []
    found: dict[bytes, Job] = {}
    async for record in reader.records(spans):
        key = record.key or b""
        if not key.startswith(_PREFIX.encode()) or key.endswith(b"/stop"):
            continue
        found.pop(key, None)
        if record.value:
            try:
                found[key] = decode(record.value)
            except (ValueError, KeyError, TypeError):
                continue  # of a newer headrace
    return sorted(found.values(), key=lambda job: job.created_ms)


async def read_one(reader: Reader, names: TopicNames, job_id: str) -> Job:
    """Raises NoSuchReplay, KafkaUnavailable."""
    for job in await read_all(reader, names):
        if job.id == job_id:
            return job
    raise NoSuchReplay(f"there is no replay {job_id!r}: `headrace replay list` shows those there are")
