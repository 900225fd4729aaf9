"""From Kafka: where each backend's group is, what is kept beside its offsets, and what its topic holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.ledger import commits
from agents.ledger.totals import Totals
from agents.status.groups import Groups
from topics import admin
from topics.definitions import TopicNames, group
from topics.errors import KafkaUnavailable
from topics.retention import UNKNOWN, Retention

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.config.backends import Backend

_FETCH_MS = 200
_FIRST_BYTES = 64 * 1024
_REQUEST_MS = 10_000


@dataclass(slots=True)
class Found:
    """One partition as Kafka has it. `offset` None: nothing was ever committed.

    `foreign`: whether what is kept beside the offset is not headrace's; `first`: the offset of the first record that is
    not delivered, spans of a backfill included; `oldest_ms`: Kafka's time of it; None where there is none.
    """

    number: int
    start: int
    end: int
    offset: int | None = None
    foreign: bool = False
    totals: Totals | None = None
    spans: list[tuple[int, int]] = field(default_factory=list)
    first: int | None = None
    oldest_ms: int | None = None


@dataclass(slots=True)
class FoundBackend:
    """One backend: its group's members, the topic's retention, its partitions. No partitions: there is no topic yet."""

    backend: Backend
    group: str
    topic: str
    agents: int = 0
    retention: Retention = UNKNOWN
    partitions: list[Found] = field(default_factory=list)


class Looking:
    """Reads; changes nothing, joins no group. Use as ``async with``; all of it raises KafkaUnavailable."""

    def __init__(self, brokers: Sequence[str], prefix: str, security: Mapping[str, Any]) -> None:
        self._brokers = list(brokers)
        self._prefix = prefix
        self._security = security
        self._admin = AIOKafkaAdminClient(
            bootstrap_servers=self._brokers, client_id="headrace-status", request_timeout_ms=_REQUEST_MS, **security
        )
        self._groups = Groups(self._admin)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers,
            client_id="headrace-status",
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FIRST_BYTES,
            request_timeout_ms=_REQUEST_MS,
            **security,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._admin.start()
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await self.__aexit__()
            where = ",".join(self._brokers)
            raise KafkaUnavailable(f"no Kafka answers at {where}: {admin.why(error)}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def look(self, backend: Backend) -> FoundBackend:
        """All that Kafka knows of one backend."""
        found = FoundBackend(backend, group(self._prefix, backend.name), TopicNames(self._prefix).data(backend.kind))
        try:
            state = (await admin.describe(",".join(self._brokers), [found.topic], security=self._security)).get(
                found.topic
            )
            if state is None:
                return found
            found.retention = Retention.of(state.settings)
            found.agents = await self._groups.members(found.group)
            found.partitions = await self._partitions(found, state.partitions)
            await self._first_records(found)
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailable(f"{found.topic}: its offsets cannot be read: {admin.why(error)}") from None
        return found

    async def _partitions(self, found: FoundBackend, count: int) -> list[Found]:
        places = [TopicPartition(found.topic, number) for number in range(count)]
        starts = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        committed = await self._groups.committed(found.group)
        partitions = []
        for place in places:
            one = Found(place.partition, starts[place], ends[place])
            kept = committed.get(place)
            if kept is not None:
                read_committed(one, kept.offset, kept.metadata)
            partitions.append(one)
        return partitions

    async def _first_records(self, found: FoundBackend) -> None:
        """The time of the first record of each partition that has no outcome yet, where there is one."""
        left: dict[TopicPartition, Found] = {}
        for one in found.partitions:
            if one.first is not None and one.first < one.end:
                left[TopicPartition(found.topic, one.number)] = one
        if not left:
            return
        self._consumer.assign(list(left))
        for place, one in left.items():
            self._consumer.seek(place, max(one.first or 0, one.start))
        while left:
            batches = await self._consumer.getmany(*left, timeout_ms=_FETCH_MS, max_records=len(left))
            for place, records in batches.items():
                if records and place in left:
                    one = left.pop(place)
                    one.first, one.oldest_ms = records[0].offset, records[0].timestamp
                    self._consumer.pause(place)
            for place in [place for place, one in left.items() if await self._consumer.position(place) >= one.end]:
                # What lies there is no record: a transaction's end.
                left.pop(place).first = None


def read_committed(one: Found, offset: int, metadata: str) -> None:
    """Enter what the group has committed for a partition."""
    one.offset = offset
    sections = commits.decode(metadata)
    one.foreign = bool(metadata) and not sections
    if "ledger" in sections:
        one.totals = Totals.decode(sections["ledger"])
    backfill = sections.get("backfill")
    spans = backfill.get("spans", []) if isinstance(backfill, dict) else []
    one.spans = [
        (start, end)
        for start, end in (span for span in spans if isinstance(span, list) and len(span) == 2)
        if isinstance(start, int) and isinstance(end, int) and start < end
    ]
    one.first = min([offset, *(start for start, _ in one.spans)])
