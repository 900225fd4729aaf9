"""Topics on a broker: create the missing ones, compare the others with what they should be. Never alters one.

The only impure file of `topics`: it talks to Kafka through aiokafka's admin client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import operator
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from topics import log_sizes
from topics.errors import KafkaUnavailable, TopicMismatch
from topics.retention import Retention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from topics.definitions import TopicSpec

log = logging.getLogger(__name__)

_REQUEST_S = 15.0
_SETTLE_S = 20.0
_POLL_S = 0.05
_NAMED_ERRORS = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting of one topic that is not as it should be. `setting` "topic": it does not exist.

    `remedy` is a sentence; where a command of Kafka's own mends it, the command.
    """

    topic: str
    setting: str
    wanted: str
    actual: str
    remedy: str

    def __str__(self) -> str:
        if self.setting == "topic":
            return f"topic {self.topic} does not exist ({self.remedy})"
        return (
            f"topic {self.topic}: {self.setting} is {self.actual}, the configuration says {self.wanted} ({self.remedy})"
        )


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker has it. `leaders`: how many partitions have one."""

    partitions: int
    replication_factor: int
    leaders: int
    settings: Mapping[str, str]


async def ensure(brokers: str, specs: Sequence[TopicSpec], *, security: Mapping[str, Any] | None = None) -> None:
    """Create the topics that are missing, verify those that exist, wait until each partition has a leader.

    Raises TopicMismatch naming every difference at once, KafkaUnavailable when no broker answers or one refuses.
    Cancelling is safe: call it again.
    """
    async with _admin(brokers, security) as admin:
        found = await _describe(admin, [spec.name for spec in specs])
        # The existing ones first: a half-made set of topics would be harder to mend than none.
        differences = [difference for spec in specs for difference in _compare(spec, found.get(spec.name), brokers)]
        _refuse(differences + await _kept_too_short(admin, specs, found, brokers, security or {}))
        missing = [spec for spec in specs if spec.name not in found]
        if missing:
            await _create(admin, missing)
        found = await _settled(admin, specs)
        _refuse([difference for spec in missing for difference in _compare(spec, found[spec.name], brokers)])


async def diff(
    brokers: str, specs: Sequence[TopicSpec], *, security: Mapping[str, Any] | None = None
) -> list[Difference]:
    """Every difference between what is and what should be, missing topics included. Changes nothing.

    Raises KafkaUnavailable.
    """
    async with _admin(brokers, security) as admin:
        found = await _describe(admin, [spec.name for spec in specs])
        differences = []
        for spec in specs:
            if spec.name not in found:
                remedy = f"headrace creates it at its next start, with {spec.partitions} partitions"
                differences.append(Difference(spec.name, "topic", "present", "missing", remedy))
            differences += _compare(spec, found.get(spec.name), brokers)
        return differences + await _kept_too_short(admin, specs, found, brokers, security or {})


async def describe(
    brokers: str, names: Sequence[str], *, security: Mapping[str, Any] | None = None
) -> dict[str, TopicState]:
    """The topics of these names that exist. Raises KafkaUnavailable."""
    async with _admin(brokers, security) as admin:
        return await _describe(admin, names)


def _refuse(differences: Sequence[Difference]) -> None:
    if differences:
        raise TopicMismatch("; ".join(str(difference) for difference in differences))


def _compare(spec: TopicSpec, state: TopicState | None, brokers: str) -> list[Difference]:
    """The differences of an existing topic. A missing one has none here."""
    if state is None:
        return []
    differences = []
    if state.partitions != spec.partitions:
        remedy = (
            f"series would change their partition and lose their order: set topics.partitions to {state.partitions}, "
            f"or drain the topic, delete it and let headrace create it again with {spec.partitions}"
        )
        if spec.grows and state.partitions < spec.partitions:
            remedy = (
                f"kafka-topics.sh --bootstrap-server {brokers} --alter --topic {spec.name} "
                f"--partitions {spec.partitions}"
            )
        differences.append(Difference(spec.name, "partitions", str(spec.partitions), str(state.partitions), remedy))
    if state.replication_factor != spec.replication_factor:
        remedy = (
            f"set topics.replication_factor to {state.replication_factor}, or move the replicas: "
            f"kafka-reassign-partitions.sh --bootstrap-server {brokers} --execute --reassignment-json-file FILE"
        )
        wanted, actual = str(spec.replication_factor), str(state.replication_factor)
        differences.append(Difference(spec.name, "replication_factor", wanted, actual, remedy))
    for key, wanted in _settings(spec).items():
        actual = state.settings.get(key, "unknown")
        if key == "retention.ms" and _keeps_longer(wanted, actual):
            continue
        if actual != wanted:
            loss = _loss(spec, actual) if key == "retention.ms" else ""
            remedy = loss + (
                f"kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics "
                f"--entity-name {spec.name} --add-config {key}={wanted}, or set it so in the configuration's topics"
            )
            differences.append(Difference(spec.name, key, wanted, actual, remedy))
    return differences


def _keeps_longer(wanted_ms: str, actual_ms: str) -> bool:
    """What somebody lengthened, in an outage say, costs disk and loses nothing: no reason not to start."""
    if not actual_ms.lstrip("-").isdigit():
        return False
    wanted, actual = int(wanted_ms), int(actual_ms)
    return wanted >= 0 and (actual < 0 or actual > wanted)


def _loss(spec: TopicSpec, retention_ms: str) -> str:
    """What a retention in time that is too short means."""
    kept = Retention.of({"retention.ms": retention_ms}).time_ms
    if kept is None or kept >= spec.survive_ms:
        return ""
    return f"an outage of {spec.survive_ms // 1000} s (topics.survive_outage) would lose data: "


async def _kept_too_short(
    admin: AIOKafkaAdminClient,
    specs: Sequence[TopicSpec],
    found: Mapping[str, TopicState],
    brokers: str,
    security: Mapping[str, Any],
) -> list[Difference]:
    """The topics whose bound in bytes, at the rate at which they are written, does not outlast the outage to survive.

    Whether the bound is the topic's own or its broker's is the same to the data.
    """
    differences = []
    now_ms = int(time.time() * 1000)
    for spec in specs:
        state = found.get(spec.name)
        bound = Retention.of(state.settings).size_bytes if state is not None else None
        if state is None or bound is None or not spec.survive_ms:
            continue
        logs = await log_sizes.filled(admin, spec.name, state.partitions, now_ms, brokers=brokers, security=security)
        lasting = [(lasts_ms, one) for one in logs if (lasts_ms := one.lasts_ms(bound)) is not None]
        if not lasting:
            log.warning(
                "topic %s: retention.bytes is %d: whether that outlasts an outage of %d s (topics.survive_outage) is "
                "not known before a partition is half full",
                spec.name, bound, spec.survive_ms // 1000,
            )  # fmt: skip
            continue
        lasts_ms, one = min(lasting, key=operator.itemgetter(0))
        if lasts_ms < spec.survive_ms:
            enough = math.ceil(bound * spec.survive_ms / max(lasts_ms, 1) * 1.2)
            remedy = (
                f"kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics "
                f"--entity-name {spec.name} --add-config retention.bytes={enough}, or -1 for no bound, "
                f"or a shorter topics.survive_outage"
            )
            wanted = f"enough for an outage of {spec.survive_ms // 1000} s (topics.survive_outage)"
            actual = f"{bound}, which partition {one.partition} fills in {lasts_ms // 1000} s"
            differences.append(Difference(spec.name, "retention.bytes", wanted, actual, remedy))
    return differences


def _settings(spec: TopicSpec) -> dict[str, str]:
    """In Kafka's words."""
    return {
        "cleanup.policy": spec.cleanup_policy,
        "retention.ms": str(spec.retention_ms),
        "min.insync.replicas": str(spec.min_insync_replicas),
        "max.message.bytes": str(spec.max_message_bytes),
        **dict(spec.settings),
    }


@contextlib.asynccontextmanager
async def _admin(brokers: str, security: Mapping[str, Any] | None) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=brokers,
        client_id="headrace-admin",
        request_timeout_ms=int(_REQUEST_S * 1000),
        **(security or {}),
    )
    try:
        await admin.start()
        yield admin
    # OSError, TimeoutError: what aiokafka 0.14 lets through when the connection breaks under a request
    except (KafkaError, OSError, TimeoutError) as error:
        raise KafkaUnavailable(why(error)) from error
    finally:
        await admin.close()


def why(error: Exception) -> str:
    """What the client met, in words that follow "waiting for Kafka at HOST:PORT: "."""
    # Its text is a list of Python objects; it has logged already why each address failed.
    if isinstance(error, KafkaConnectionError) and "Unable to bootstrap" in str(error):
        return "no broker answers there"
    name, text = type(error).__name__, str(error)
    return text if name in text else f"{name}: {text}" if text else name


async def _describe(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, TopicState]:
    # Asking for a topic that is missing would create it on a broker with auto.create.topics.enable.
    existing = set(await admin.list_topics())
    asked = [name for name in names if name in existing]
    found: dict[str, dict[str, Any]] = {}
    for topic in await admin.describe_topics(asked) if asked else []:
        error = for_code(topic["error_code"])
        if error is UnknownTopicOrPartitionError:
            continue
        # LeaderNotAvailable and the like of a topic being made: it is there
        if topic["error_code"] and not error.retriable:
            raise error(f"topic {topic['topic']}")
        found[topic["topic"]] = topic
    if not found:
        return {}
    settings = await _topic_settings(admin, list(found))
    return {name: _state(topic, settings.get(name, {})) for name, topic in found.items()}


def _state(topic: Mapping[str, Any], settings: Mapping[str, str]) -> TopicState:
    partitions = topic["partitions"]
    return TopicState(
        partitions=len(partitions),
        # While a reassignment runs a partition has more replicas than it will have.
        replication_factor=min((len(partition["replicas"]) for partition in partitions), default=0),
        leaders=sum(partition["leader"] >= 0 for partition in partitions),
        settings=settings,
    )


async def _topic_settings(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    settings: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, message, _kind, name, entries in response.resources:
            error = for_code(code)
            if error is UnknownTopicOrPartitionError:
                continue  # made a moment ago, and not known everywhere yet
            if code:
                raise error(message or f"the settings of topic {name}")
            settings[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return settings


async def _create(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    topics = [
        NewTopic(spec.name, spec.partitions, spec.replication_factor, topic_configs=_settings(spec)) for spec in specs
    ]
    response = await admin.create_topics(topics)
    refused = []
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if error is TopicAlreadyExistsError:
            log.debug("topic %s was made by somebody else a moment ago", name)
        elif code:
            refused.append(f"{name}: {(rest[0] if rest else None) or error.description}")
        else:
            log.info("created topic %s", name)
    if refused:
        more = f" and {len(refused) - _NAMED_ERRORS} more" if len(refused) > _NAMED_ERRORS else ""
        raise KafkaError(f"cannot create topics: {'; '.join(refused[:_NAMED_ERRORS])}{more}")


async def _settled(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> dict[str, TopicState]:
    """The topics, once each of their partitions has a leader."""
    names = [spec.name for spec in specs]
    async with asyncio.timeout(_SETTLE_S):
        while True:
            found = await _describe(admin, names)
            if all(
                name in found and found[name].settings and found[name].leaders == found[name].partitions
                for name in names
            ):
                return found
            await asyncio.sleep(_POLL_S)
