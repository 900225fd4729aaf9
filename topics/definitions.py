"""Every topic and consumer group of one headrace installation: names, partitions, retention, dead letters.

The prefix tells installations on one broker apart. What exists on a broker is compared with this by admin.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from topics.keys import BUCKETS, bucket
from topics.record import Kind

DEAD_HEADERS_BYTES = 64 * 1024
"""By how much a dead letter may be larger than the record that it comes from."""

CONTROL_PARTITIONS = 64
"""Of the control topic; fixed, because keys and the shares of scraper replicas are spread over them."""

# A compacted topic is compacted segment by segment, never the active one: at Kafka's defaults (1 GB, 7 days) every
# start would read a week of positions.
CONTROL_SETTINGS = (
    ("segment.bytes", str(16 * 1024**2)),
    ("segment.ms", str(10 * 60 * 1000)),
    ("min.cleanable.dirty.ratio", "0.1"),
)

CleanupPolicy = Literal["delete", "compact"]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it should be. `retention_ms` -1 means for ever (Kafka's own sign for it).

    `settings`: what else is set, in Kafka's own words. `grows`: no rule of ours depends on the partition count being
    what it was, so a broker's own command may raise it. `survive_ms`: the outage of a backend that must lose nothing; a
    topic that keeps less is refused.
    """

    name: str
    partitions: int
    replication_factor: int
    retention_ms: int
    min_insync_replicas: int
    max_message_bytes: int
    cleanup_policy: CleanupPolicy = "delete"
    settings: tuple[tuple[str, str], ...] = ()
    grows: bool = False
    survive_ms: int = 0


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names under one prefix, e.g. `headrace.`."""

    prefix: str

    @property
    def metrics(self) -> str:
        """Snappy blocks of prometheus.WriteRequest."""
        return f"{self.prefix}metrics"

    @property
    def logs(self) -> str:
        """Snappy blocks of logproto.PushRequest."""
        return f"{self.prefix}logs"

    @property
    def metrics_dead(self) -> str:
        """What a metrics backend rejected for good."""
        return f"{self.prefix}metrics.dead"

    @property
    def logs_dead(self) -> str:
        """What a logs backend rejected for good."""
        return f"{self.prefix}logs.dead"

    @property
    def control(self) -> str:
        """Compacted: the tailers' positions, target ownership, replay jobs, pauses of backends."""
        return f"{self.prefix}control"

    def data(self, kind: Kind) -> str:
        """The topic of a kind."""
        return self.metrics if kind is Kind.METRICS else self.logs

    def dead(self, kind: Kind) -> str:
        """The dead-letter topic of a kind."""
        return self.metrics_dead if kind is Kind.METRICS else self.logs_dead


def group(prefix: str, backend: str) -> str:
    """The consumer group of a backend: each has its own offsets, and thereby its own lag, pace and replay."""
    return f"{prefix}agent.{backend}"


def scrapers(prefix: str, name: str) -> str:
    """The consumer group of the scraper replicas that share their targets."""
    return f"{prefix}scraper.{name}"


def control_partition(name: str) -> int:
    """The partition of the control topic that holds what `name` (a node, say) keeps there."""
    return bucket(name.encode()) % CONTROL_PARTITIONS


def transactional_id(prefix: str, node: str) -> str:
    """Under which a node's tailer writes: Kafka lets one producer at a time do so."""
    return f"{prefix}tail.{node}"


def specs(
    names: TopicNames,
    *,
    partitions: int,
    replication_factor: int,
    retention_ms: int,
    min_insync_replicas: int,
    max_message_bytes: int,
    survive_ms: int = 0,
) -> tuple[TopicSpec, ...]:
    """All topics of an installation.

    Dead letters have the partitions of their source, so that what is sent again later keeps its order per series. They
    may be a little larger: a record as large as may be, with the headers that say why it is dead, must still fit.
    Raises ValueError for a partition count that the key rule does not know.
    """
    if not 1 <= partitions <= BUCKETS:
        raise ValueError(f"topics.partitions: {partitions} is not within 1 to {BUCKETS}")

    def spec(name: str, more_bytes: int = 0, survive_ms: int = 0) -> TopicSpec:
        largest = max_message_bytes + more_bytes
        return TopicSpec(
            name, partitions, replication_factor, retention_ms, min_insync_replicas, largest, survive_ms=survive_ms
        )

    control = TopicSpec(
        names.control,
        CONTROL_PARTITIONS,
        replication_factor,
        -1,
        min_insync_replicas,
        max_message_bytes,
        "compact",
        CONTROL_SETTINGS,
        grows=True,
    )
    data = (spec(names.metrics, survive_ms=survive_ms), spec(names.logs, survive_ms=survive_ms))
    dead = (spec(names.metrics_dead, DEAD_HEADERS_BYTES), spec(names.logs_dead, DEAD_HEADERS_BYTES))
    return (*data, *dead, control)
