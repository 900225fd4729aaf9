"""Topics on a broker: create what is missing, compare what exists, refuse what does not fit.

The only place that administers Kafka. A topic that exists is never altered here: a partition count cannot be lowered,
and raising it moves series to other partitions, which breaks their order. The message says what to do instead.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from topics.errors import HeadraceError, KafkaUnavailable, TopicMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from topics.definitions import TopicSpec

log = logging.getLogger(__name__)

_REQUEST_TIMEOUT_MS: Final = 10_000
_VISIBLE_S: Final = 15.0  # how long a new topic may take until the metadata shows all its leaders
_TOPIC_EXISTS: Final = 36


@dataclass(frozen=True, slots=True)
class Difference:
    """One property of one topic that is not as it should be. `found` is None where the topic itself is missing."""

    topic: str
    setting: str
    wanted: str
    found: str | None

    def __str__(self) -> str:
        if self.found is None:
            return f"topic {self.topic} does not exist"
        return (
            f"topic {self.topic}: {self.setting} is {self.found}, the configuration says {self.wanted} ({self.remedy})"
        )

    @property
    def remedy(self) -> str:
        """What the user can do about it, without losing the order of series."""
        if self.setting == "partitions":
            return (
                f"set topics.partitions to {self.found}, or use another kafka.prefix: changing the count of a topic in"
                " use would move series to other partitions and break their order"
            )
        if self.setting == "replication factor":
            return f"set topics.replication_factor to {self.found}, or reassign with kafka-reassign-partitions.sh"
        return (
            f"kafka-configs.sh --alter --entity-type topics --entity-name {self.topic}"
            f" --add-config {self.setting}={self.wanted}, or change the configuration"
        )


async def diff(
    brokers: str, specs: Sequence[TopicSpec], *, security: Mapping[str, Any] | None = None
) -> list[Difference]:
    """Everything about these topics that is not as specified, in the order of `specs`; changes nothing.

    `brokers`: "host:port", several with commas. Raises KafkaUnavailable (retriable). Cancelling is safe.
    """
    async with _Admin(brokers, security) as admin:
        return await admin.diff(specs)


async def ensure(brokers: str, specs: Sequence[TopicSpec], *, security: Mapping[str, Any] | None = None) -> None:
    """Create the topics that are missing, compare the others, return when every leader is known.

    Raises TopicMismatch with all differences at once, before anything is created; KafkaUnavailable (retriable).
    Safe to call from several processes at a time, and to cancel.
    """
    async with _Admin(brokers, security) as admin:
        found = await admin.diff(specs)
        wrong = [difference for difference in found if difference.found is not None]
        if wrong:
            raise TopicMismatch("; ".join(map(str, wrong)))
        missing = {difference.topic for difference in found}
        if missing:
            await admin.create([spec for spec in specs if spec.name in missing])
        await admin.wait_for_leaders(specs)


def _settings(spec: TopicSpec) -> dict[str, str]:
    """The topic's own settings, as Kafka writes them."""
    settings = {
        "cleanup.policy": spec.cleanup_policy,
        "max.message.bytes": str(spec.max_message_bytes),
        "min.insync.replicas": str(spec.min_insync_replicas),
    }
    # Kafka does not apply retention to a compacted topic: nothing to promise there.
    return settings if spec.cleanup_policy == "compact" else {"retention.ms": str(spec.retention_ms), **settings}


class _Admin:
    """One administrative conversation; maps the library's errors to ours in one place."""

    def __init__(self, brokers: str, security: Mapping[str, Any] | None) -> None:
        self._brokers = brokers
        self._client = AIOKafkaAdminClient(
            bootstrap_servers=brokers,
            client_id="headrace-admin",
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **(security or {}),
        )

    async def __aenter__(self) -> _Admin:
        try:
            await self._client.start()
        except (KafkaError, OSError) as error:
            await self._client.close()
            raise self._unavailable(error) from None
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.close()

    async def diff(self, specs: Sequence[TopicSpec]) -> list[Difference]:
        try:
            # All topics, not these by name: naming an unknown topic makes some brokers create it.
            existing = {topic["topic"]: topic for topic in await self._client.describe_topics()}
            known = [spec for spec in specs if spec.name in existing]
            settings = await self._describe([spec.name for spec in known])
        except (KafkaError, OSError) as error:
            raise self._unavailable(error) from None
        found: list[Difference] = []
        for spec in specs:
            if spec.name not in existing:
                found.append(Difference(spec.name, "existence", "a topic", None))
            else:
                found += _compare(spec, existing[spec.name], settings[spec.name])
        return found

    async def _describe(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        answers = await self._client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, n) for n in names])
        settings: dict[str, dict[str, str]] = {}
        for answer in answers:
            for code, message, _, name, entries in answer.resources:
                if code:
                    raise for_code(code)(f"describing topic {name}: {message}")
                settings[name] = {entry[0]: entry[1] for entry in entries}
        return settings

    async def create(self, specs: Sequence[TopicSpec]) -> None:
        new = [
            NewTopic(
                name=spec.name,
                num_partitions=spec.partitions,
                replication_factor=spec.replication_factor,
                topic_configs=_settings(spec),
            )
            for spec in specs
        ]
        try:
            answer = await self._client.create_topics(new)
        except (KafkaError, OSError) as error:
            raise self._unavailable(error) from None
        failed = []
        for name, code, *message in answer.topic_errors:
            if code and code != _TOPIC_EXISTS:  # another process may have been quicker
                failed.append(f"topic {name} cannot be created: {message[0] if message else for_code(code).__name__}")
        if failed:
            raise HeadraceError("; ".join(failed))
        log.info("topics created: %s", ", ".join(spec.name for spec in specs))

    async def wait_for_leaders(self, specs: Sequence[TopicSpec]) -> None:
        """A topic just made is not at once known to every broker: writing to it earlier would fail."""
        wanted = {spec.name: spec.partitions for spec in specs}
        try:
            async with asyncio.timeout(_VISIBLE_S):
                while await self._without_leader(wanted):  # noqa: ASYNC110 — the change happens in the broker
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise KafkaUnavailable(
                f"Kafka at {self._brokers} names no leader for {', '.join(await self._without_leader(wanted))}"
                f" after {_VISIBLE_S:g} s: are enough brokers up for the replication factor?"
            ) from None
        except (KafkaError, OSError) as error:
            raise self._unavailable(error) from None

    async def _without_leader(self, wanted: Mapping[str, int]) -> list[str]:
        topics = {topic["topic"]: topic["partitions"] for topic in await self._client.describe_topics()}
        return [
            name
            for name, partitions in wanted.items()
            if sum(part["leader"] >= 0 and not part["error_code"] for part in topics.get(name, ())) < partitions
        ]

    def _unavailable(self, error: Exception) -> KafkaUnavailable:
        return KafkaUnavailable(f"no Kafka answers at {self._brokers}: {error or type(error).__name__}")


def _compare(spec: TopicSpec, topic: Mapping[str, Any], settings: Mapping[str, str]) -> list[Difference]:
    partitions = topic["partitions"]
    replicas = min((len(part["replicas"]) for part in partitions), default=0)
    pairs = [
        ("partitions", str(spec.partitions), str(len(partitions))),
        ("replication factor", str(spec.replication_factor), str(replicas)),
        *((name, wanted, settings.get(name, "unknown")) for name, wanted in _settings(spec).items()),
    ]
    return [Difference(spec.name, name, wanted, found) for name, wanted, found in pairs if wanted != found]
