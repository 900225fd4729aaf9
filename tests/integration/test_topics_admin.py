"""Topics on the real broker: created, verified, compared; every mismatch named at once."""

from __future__ import annotations

import asyncio
import dataclasses
import socket

import pytest

from topics.admin import describe, diff, ensure
from topics.definitions import TopicNames, TopicSpec, specs
from topics.errors import KafkaUnavailable, TopicMismatch

pytestmark = pytest.mark.kafka

MIB = 1024**2


def _specs(prefix: str, **changes) -> tuple[TopicSpec, ...]:
    settings = {
        "partitions": 3,
        "replication_factor": 1,
        "retention_ms": 3_600_000,
        "min_insync_replicas": 1,
        "max_message_bytes": 2 * MIB,
    }
    return specs(TopicNames(prefix), **(settings | changes))


async def test_ensure_creates_every_topic_as_defined_and_again_changes_nothing(kafka, kafka_prefix):
    wanted = _specs(kafka_prefix)
    assert {item.setting for item in await diff(kafka.brokers, wanted)} == {"topic"}

    await ensure(kafka.brokers, wanted)
    await ensure(kafka.brokers, wanted)

    assert await diff(kafka.brokers, wanted) == []
    found = await describe(kafka.brokers, [spec.name for spec in wanted])
    assert set(found) == {spec.name for spec in wanted}
    for spec in wanted:
        state = found[spec.name]
        assert (state.partitions, state.replication_factor, state.leaders) == (spec.partitions, 1, spec.partitions)
        assert state.settings["cleanup.policy"] == spec.cleanup_policy
        assert state.settings["retention.ms"] == str(spec.retention_ms)
        assert state.settings["min.insync.replicas"] == "1"
        assert state.settings["max.message.bytes"] == str(spec.max_message_bytes)
        assert state.settings.items() >= dict(spec.settings).items()


async def test_a_wrong_partition_count_is_refused_with_both_numbers(kafka, kafka_prefix):
    await ensure(kafka.brokers, _specs(kafka_prefix))
    with pytest.raises(TopicMismatch, match=r"metrics: partitions is 3, the configuration says 5 .*partitions to 3"):
        await ensure(kafka.brokers, _specs(kafka_prefix, partitions=5))


async def test_every_mismatch_is_named_at_once_with_its_remedy(kafka, kafka_prefix):
    await ensure(kafka.brokers, _specs(kafka_prefix)[:1])
    name = f"{kafka_prefix}metrics"
    other = TopicSpec(name, 3, 2, 7_200_000, 2, MIB, "compact")
    with pytest.raises(TopicMismatch) as caught:
        await ensure(kafka.brokers, [other])
    text = str(caught.value)
    for setting, actual, wanted in (
        ("replication_factor", 1, 2),
        ("cleanup.policy", "delete", "compact"),
        ("retention.ms", 3_600_000, 7_200_000),
        ("min.insync.replicas", 1, 2),
        ("max.message.bytes", 2 * MIB, MIB),
    ):
        assert f"topic {name}: {setting} is {actual}, the configuration says {wanted}" in text
    assert f"--entity-name {name} --add-config retention.ms=7200000" in text


@pytest.mark.parametrize("longer_ms", [3_600_001, -1], ids=["longer", "for ever"])
async def test_a_topic_that_keeps_its_records_longer_than_configured_is_taken_as_it_is(kafka, kafka_prefix, longer_ms):
    wanted = _specs(kafka_prefix)
    await ensure(kafka.brokers, [dataclasses.replace(wanted[0], retention_ms=longer_ms), *wanted[1:]])
    await ensure(kafka.brokers, wanted)
    assert await diff(kafka.brokers, wanted) == []
    state = await describe(kafka.brokers, [wanted[0].name])
    assert state[wanted[0].name].settings["retention.ms"] == str(longer_ms)


async def test_a_control_topic_with_fewer_partitions_is_refused_with_the_command_that_mends_it(kafka, kafka_prefix):
    wanted = _specs(kafka_prefix)
    await ensure(kafka.brokers, [dataclasses.replace(wanted[-1], partitions=1)])
    with pytest.raises(TopicMismatch, match=r"control: partitions is 1, .*--alter --topic \S+control --partitions 64"):
        await ensure(kafka.brokers, wanted)


async def test_nothing_is_created_while_another_topic_is_wrong(kafka, kafka_prefix):
    wanted = _specs(kafka_prefix)
    await ensure(kafka.brokers, wanted[:1])
    wrong = (dataclasses.replace(wanted[0], retention_ms=7_200_000), *wanted[1:])
    with pytest.raises(TopicMismatch):
        await ensure(kafka.brokers, wrong)
    assert set(await describe(kafka.brokers, [spec.name for spec in wanted])) == {wanted[0].name}


async def test_two_that_ensure_at_the_same_time_both_succeed(kafka, kafka_prefix):
    wanted = _specs(kafka_prefix)
    await asyncio.gather(*(ensure(kafka.brokers, wanted) for _ in range(3)))
    assert await diff(kafka.brokers, wanted) == []


async def test_a_topic_that_the_broker_refuses_is_named_with_its_words(kafka, kafka_prefix):
    with pytest.raises(KafkaUnavailable, match=r"cannot create topics: .*replication factor"):
        await ensure(kafka.brokers, _specs(kafka_prefix, replication_factor=3))


async def test_no_broker_is_told_in_words_not_in_objects():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # not listening: refused at once
        brokers = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(KafkaUnavailable, match=r"^no broker answers there$"):
            await ensure(brokers, _specs("away."))
