"""Dead letters as they stand in Kafka, and which of them an operator means.

A letter is never taken out of its topic: that it was sent again, or dropped, is a mark in the control topic, under the
key ``dead/<kind>/<partition>/<offset>``. Retention ends both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.content.batch import Record
from agents.offline.reading import TopicMissing
from topics import compression
from topics.definitions import TopicNames, control_partition
from topics.errors import BadRecord
from topics.record import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agents.content.selecting import Selector
    from agents.offline.reading import Reader
    from agents.offline.sending import Writer

_PREFIX = "dead/"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `value`: what was rejected, as a body of its kind; `headers`: its record's, and `dead.…`."""

    kind: Kind
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]

    @property
    def id(self) -> str:
        """What commands call it: ``metrics/3/17``."""
        return f"{self.kind}/{self.partition}/{self.offset}"

    def said(self, name: str) -> str:
        """A header ``dead.<name>`` as text; empty when there is none."""
        return self.headers.get(f"dead.{name}", b"").decode("utf-8", "replace")

    @property
    def time_ms(self) -> int:
        """When it was rejected, Unix milliseconds."""
        said = self.said("time_ms")
        return int(said) if said.isascii() and said.isdigit() else 0

    @property
    def items(self) -> int:
        """Samples or lines in it, by its header; 1 where none says."""
        said = self.headers.get("samples", b"")
        return int(said) if said.isdigit() else 1

    def body(self) -> bytes | None:
        """What it holds, decoded; None when that cannot be read, which may be why it is dead."""
        try:
            return compression.decompress(self.value)
        except BadRecord:
            return None

    def record(self) -> Record:
        """It as the record that it was, at the place where it came from."""
        topic, partition, offset = (
            self.said("origin").rsplit("/", 2) if self.said("origin").count("/") > 1 else 3 * ("",)
        )
        return Record(
            topic=topic or str(self.kind),
            partition=int(partition) if partition.isdigit() else self.partition,
            offset=int(offset) if offset.isdigit() else self.offset,
            key=self.key,
            value=self.value,
            headers={name: value for name, value in self.headers.items() if not name.startswith("dead.")},
            timestamp_s=self.time_ms / 1000,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant: all conditions hold. Times are of the rejection, Unix milliseconds, end exclusive."""

    backend: str = ""
    reasons: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    selector: Selector | None = None
    ids: frozenset[str] = frozenset()

    def takes(self, letter: Letter) -> bool:
        """Whether this letter is one of them."""
        if self.ids and letter.id not in self.ids:
            return False
        if self.backend and letter.said("backend") != self.backend:
            return False
        if self.reasons and letter.said("reason") not in self.reasons:
            return False
        if self.since_ms is not None and letter.time_ms < self.since_ms:
            return False
        if self.until_ms is not None and letter.time_ms >= self.until_ms:
            return False
        if self.selector is None:
            return True
        body = letter.body()
        return body is not None and self.selector.finds(letter.kind, body)


async def read(reader: Reader, names: TopicNames, kind: Kind) -> AsyncIterator[Letter]:
    """All letters of a kind that the topic holds now, also those with a mark. Raises KafkaUnavailable."""
    try:
        spans = await reader.spans(names.dead(kind))
    except TopicMissing:
        return
    async for record in reader.records(spans):
        headers = dict(record.headers)
        yield Letter(kind, record.partition, record.offset, record.key, record.value or b"", headers)


async def marks(reader: Reader, names: TopicNames) -> dict[str, str]:
    """What became of letters: id → `redriven` or `dropped`. Raises KafkaUnavailable."""
    try:
        spans = await reader.spans(names.control)
    except TopicMissing:
        return {}
    found: dict[str, str] = {}
    async for record in reader.records(spans):
        key = (record.key or b"").decode("utf-8", "replace")
        if not key.startswith(_PREFIX):
            continue
        found.pop(key.removeprefix(_PREFIX), None)
        if record.value:
            found[key.removeprefix(_PREFIX)] = _state(record.value)
    return found


async def mark(writer: Writer, names: TopicNames, letter: Letter, state: str, at_ms: int) -> None:
    """Remember what became of a letter. Raises KafkaUnavailable."""
    key = f"{_PREFIX}{letter.id}"
    value = json.dumps({"state": state, "at_ms": at_ms}).encode()
    await writer.store(names.control, control_partition(f"{letter.kind}/{letter.partition}"), key.encode(), value)


def _state(value: bytes) -> str:
    try:
        found: Any = json.loads(value)
        return str(found["state"])
    except (ValueError, TypeError, KeyError):
        return "marked"
