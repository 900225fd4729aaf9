"""The agent against the real Kafka and a backend that fails by script.

Promises tested here: nothing is committed that was not delivered; order per series; duplicates bounded by one request a
partition and what was not committed yet; a backend's failure stops only itself; bad records never stop a partition.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer
from google.protobuf.message import DecodeError

from tests.support.agent_work import closes, drained, status, until
from tests.support.process import PATIENCE_S
from tests.support.receiver import Answer, bodies
from tests.support.rig import Feed, agent, judge, samples_in, samples_of
from topics import compression
from topics.errors import BadRecord
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import RecordHeaders

if TYPE_CHECKING:
    from tests.support.process import Headrace

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def test_everything_arrives_once_and_in_order(feed, receiver, start_agent):
    process = start_agent(receiver.url)
    await feed.write(50)
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats, verdict.disorder) == ({}, 0, [])
    assert found["ledger"]["delivered"] == 50 * feed.partitions * feed.series
    assert closes(found)
    assert await asyncio.to_thread(process.stop) == 0


async def test_kill_9_under_load_loses_nothing_and_repeats_one_request_of_each_partition(feed, receiver, start_agent):
    kills = 2
    answer_s = 0.7  # longer than the time between two commits: what is acknowledged too early is committed, and lost
    receiver.script = lambda request, body: Answer(hang_s=answer_s)
    process = start_agent(receiver.url)
    done = asyncio.Event()

    async def load() -> None:
        while not done.is_set():
            await feed.write(1)
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        for _ in range(kills):
            seen = receiver.requests
            await until("a while of deliveries", lambda seen=seen: receiver.requests > seen + 6 * feed.partitions)
            await until("a request in flight", lambda: receiver.in_flight)
            await asyncio.sleep(answer_s * 0.8)
            process.kill9()
            process.start()
        done.set()
    receiver.script = None
    await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.disorder) == ({}, [])
    largest = max(samples_of(body) for body in bodies(receiver.journal))
    assert verdict.repeats <= kills * feed.partitions * largest


async def test_sigterm_at_rest_commits_everything(feed, receiver, start_agent):
    process = start_agent(receiver.url)
    await feed.write(20)
    await drained(process, feed)
    assert await asyncio.to_thread(process.stop) == 0
    await feed.write(5)
    process.start()
    await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats, verdict.disorder) == ({}, 0, [])


async def test_sigterm_while_delivering_lets_the_requests_in_flight_end(feed, receiver, start_agent):
    receiver.script = lambda request, body: Answer(hang_s=0.5)
    process = start_agent(receiver.url)
    await feed.write(30)
    await until("a request in flight", lambda: receiver.in_flight)
    assert await asyncio.to_thread(process.stop) == 0
    process.start()
    await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats, verdict.disorder) == ({}, 0, [])


@pytest.mark.parametrize("answer", [Answer(hang_s=3600), Answer(503), Answer(401)], ids=["hangs", "503", "401"])
async def test_sigterm_with_a_dead_backend_ends_in_time_and_commits_nothing(feed, receiver, start_agent, answer):
    receiver.script = lambda request, body: answer
    process = start_agent(receiver.url)
    await feed.write(30)
    await until("requests", lambda: receiver.requests >= feed.partitions)
    begin = time.monotonic()
    assert await asyncio.to_thread(process.stop) == 0
    assert time.monotonic() - begin < 15
    receiver.script = None
    process.start()
    await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats, verdict.disorder) == ({}, 0, [])


async def test_a_second_agent_joins_and_leaves_under_load(feed, receiver, start_agent):
    receiver.script = lambda request, body: Answer(hang_s=0.05)
    first = start_agent(receiver.url)
    done = asyncio.Event()

    async def load() -> None:
        while not done.is_set():
            await feed.write(2)
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        await until("deliveries", lambda: receiver.requests > 10)
        second = start_agent(receiver.url)
        await until("two members", lambda: _partitions(second) and _partitions(first) < feed.partitions)
        seen = receiver.requests
        await until("deliveries of both", lambda: receiver.requests > seen + 20)
        assert await asyncio.to_thread(second.stop) == 0
        await until("one member", lambda: _partitions(first) == feed.partitions)
        done.set()
    found = await drained(first, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.disorder) == ({}, [])
    assert verdict.repeats == 0
    assert closes(found)


def _partitions(process: Headrace) -> int:
    """How many partitions the agent measures the lag of: those it was dealt."""
    text = process.get("/metrics")[1]
    return sum(line.startswith("headrace_agent_lag_records{") for line in text.splitlines())


@pytest.mark.parametrize(
    "answer",
    [
        Answer(503),
        Answer(429, headers={"Retry-After": "1"}),
        Answer(500, store=False),
        Answer(cut=True),
        Answer(hang_s=3600),
    ],
    ids=["503", "429", "500", "cut", "hang"],
)
async def test_a_backend_that_fails_for_a_while_gets_everything_in_order(feed, receiver, start_agent, answer):
    failures = 12
    receiver.script = lambda request, body: answer if receiver.requests <= failures else None
    process = start_agent(receiver.url, remote_timeout="500ms")
    await feed.write(20)
    await until("the failures", lambda: receiver.requests > failures)
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats, verdict.disorder) == ({}, 0, [])
    assert closes(found)


async def test_a_backend_whose_port_is_closed_gets_everything_when_it_opens(feed, receiver, start_agent):
    await receiver.stop()
    process = start_agent(receiver.url)
    await feed.write(20)
    await until("retrying", lambda: process.status().get("state") == "retrying")
    assert "127.0.0.1" in process.status()["reason"]
    await receiver.start()
    await drained(process, feed)
    assert not judge([receiver.journal], feed.sent, feed.series).lost


async def test_a_refused_backend_pauses_says_why_and_resumes(feed, receiver, start_agent):
    receiver.script = lambda request, body: Answer(401, "token expired")
    process = start_agent(receiver.url)
    await feed.write(5)
    await until("paused", lambda: process.status().get("state") == "paused")
    found = await status(process)
    assert "token expired" in found["reason"]
    assert found["ready"]
    assert "token expired" in process.log_text
    receiver.script = None
    found = await drained(process, feed)
    assert found["state"] == "idle"
    assert not judge([receiver.journal], feed.sent, feed.series).lost


async def test_an_unknown_host_pauses_and_the_process_stays(feed, start_agent):
    process = start_agent("http://nobody.invalid/write")
    await feed.write(1)
    await until("paused", lambda: process.status().get("state") == "paused")
    assert "unknown_host" in process.status()["reason"]
    assert await asyncio.to_thread(process.stop) == 0


async def test_one_blocked_partition_stops_no_other(feed, receiver, start_agent):
    blocked = Feed.labels(1, 0)[1][1].encode()
    marker = b"partition\x12\x01" + blocked

    def script(request, body):
        return Answer(hang_s=3600) if marker in compression.decompress(body) else None

    receiver.script = script
    process = start_agent(receiver.url, remote_timeout="600s")
    await feed.write(200)
    free = dict(feed.sent)
    free.pop(1)
    wanted = 200 * feed.series * (feed.partitions - 1)
    await until("the free partitions", lambda: samples_in(receiver.journal) >= wanted)
    verdict = judge([receiver.journal], free, feed.series)
    assert (verdict.lost, verdict.disorder) == ({}, [])
    assert receiver.max_in_flight <= feed.partitions
    receiver.script = None
    assert await asyncio.to_thread(process.stop) == 0
    process.start()
    await drained(process, feed)
    assert not judge([receiver.journal], feed.sent, feed.series).lost


async def test_never_two_requests_of_a_partition_at_a_time(feed, receiver, start_agent):
    receiver.script = lambda request, body: Answer(hang_s=0.02)
    process = start_agent(receiver.url)
    for _ in range(5):
        await feed.write(20)
    await drained(process, feed)
    assert receiver.max_in_flight <= feed.partitions


async def test_bad_records_are_dead_lettered_and_the_partition_goes_on(feed, receiver, start_agent, kafka):
    def strict(request, body):
        try:
            WriteRequest.FromString(compression.decompress(body))
        except (BadRecord, DecodeError) as error:
            return Answer(400, f"cannot read: {error}")
        return None

    receiver.script = strict
    poison = {
        b"no snappy at all": "corrupt_block",
        compression.compress(b"snappy, but no protobuf"): "corrupt_message",
        b"\xff\xff\xff\xff\x0f" + b"x" * 20: "too_large",
        compression.compress(feed.body(1, 1))[:-7]: "corrupt_block",
        b"": "corrupt_block",
    }
    await feed.write(3)
    for value in poison:
        for headers in (True, False):
            await (await feed.send(1, value, 20, headers=headers))
        await feed.write(2)
    process = start_agent(receiver.url)
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.disorder) == ({}, [])
    assert closes(found)
    letters = await dead_letters(kafka.brokers, feed.names.metrics_dead, 2 * len(poison))
    assert {letter.value for letter in letters} == set(poison)
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["dead.reason"].decode() == poison[letter.value]
        assert headers["dead.backend"] == b"b"
        assert headers["dead.origin"].startswith(f"{feed.topic}/1/".encode())
        assert letter.partition == 1
    assert sum(found["ledger"]["dead_lettered"].values()) == len(poison) * (20 + 1)


async def test_one_bad_series_is_found_and_dead_lettered_and_the_others_arrive(feed, receiver, start_agent, kafka):
    bad = {"partition": "2", "series": "7"}

    def script(request, body):
        for one in WriteRequest.FromString(compression.decompress(body)).timeseries:
            labels = {label.name: label.value for label in one.labels}
            if bad.items() <= labels.items():
                return Answer(400, "label value is not to my taste")
        return None

    receiver.script = script
    process = start_agent(receiver.url)
    await feed.write(4)
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert verdict.lost == {"2/7": [1, 2, 3, 4]}
    assert (verdict.repeats, verdict.disorder) == (0, [])
    assert found["ledger"]["dead_lettered"] == {"bad_request": 4}
    assert closes(found)
    letters = await dead_letters(kafka.brokers, feed.names.metrics_dead, 4)
    for letter in letters:
        request = WriteRequest.FromString(compression.decompress(letter.value))
        assert {(label.name, label.value) for label in request.timeseries[0].labels} == set(Feed.labels(2, 7))
        assert dict(letter.headers)["dead.detail"] == b"label value is not to my taste"
        assert RecordHeaders.decode(letter.headers).samples == 1


async def test_what_a_strict_backend_had_before_is_counted_not_dead_lettered(feed, receiver, start_agent):
    """The first requests are stored, but answered 500: what comes again is out of order for a strict backend."""
    newest: dict[tuple[str, str], int] = {}

    def script(request, body):
        found = []
        for one in WriteRequest.FromString(compression.decompress(body)).timeseries:
            labels = {label.name: label.value for label in one.labels}
            found += [((labels["partition"], labels["series"]), sample.timestamp) for sample in one.samples]
        if any(ts <= newest.get(key, 0) for key, ts in found):
            return Answer(400, "out of order sample")
        newest.update(found)
        return Answer(500, store=True) if receiver.requests <= feed.partitions else None

    receiver.script = script
    process = start_agent(receiver.url)
    await feed.write(10)
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats, verdict.disorder) == ({}, 0, [])
    assert not found["ledger"]["dead_lettered"]
    assert found["ledger"]["rejected"]["out_of_order"] > 0
    assert closes(found)


async def test_rules_drop_and_rewrite(feed, receiver, start_agent):
    rules = [
        {"source_labels": ["series"], "regex": "1.", "action": "drop"},
        {"target_label": "cluster", "replacement": "eu1"},
    ]
    process = start_agent(receiver.url, write_relabel_configs=rules)
    await feed.write(10)
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert set(verdict.lost) == {f"{partition}/1{digit}" for partition in range(feed.partitions) for digit in range(10)}
    assert all(dict(labels)["cluster"] == "eu1" for labels in verdict.labels)
    assert found["ledger"]["ruled_out"] == {"0": 10 * 10 * feed.partitions}
    assert closes(found)


async def test_max_samples_per_send_is_kept(feed, receiver, start_agent):
    most = 7

    def script(request, body):
        found = WriteRequest.FromString(compression.decompress(body))
        return Answer(500) if sum(len(one.samples) for one in found.timeseries) > most else None

    receiver.script = script
    process = start_agent(receiver.url, queue_config={"max_samples_per_send": most})
    await feed.write(10)
    await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats, verdict.disorder) == ({}, 0, [])


async def test_a_reload_takes_effect_also_for_a_batch_that_cannot_be_delivered(feed, receiver, start_agent, tmp_path):
    process = start_agent("http://nobody.invalid/write")
    await feed.write(5)
    await until("paused", lambda: process.status().get("state") == "paused")
    file = tmp_path / "agent0" / "headrace.yml"
    file.write_text(file.read_text().replace("http://nobody.invalid/write", receiver.url))
    assert (await asyncio.to_thread(process.post, "/-/reload"))[0] == 200
    found = await drained(process, feed)
    assert not judge([receiver.journal], feed.sent, feed.series).lost
    assert closes(found)


async def test_a_broken_file_leaves_the_old_configuration_running(feed, receiver, start_agent, tmp_path):
    process = start_agent(receiver.url)
    await feed.write(1)
    await drained(process, feed)
    (tmp_path / "agent0" / "headrace.yml").write_text("remote_write: [{name: other, url: http://127.0.0.1:1/}]")
    assert (await asyncio.to_thread(process.post, "/-/reload"))[0] != 200
    await feed.write(1)
    await drained(process, feed)
    assert not judge([receiver.journal], feed.sent, feed.series).lost


async def test_an_agent_waits_for_a_broker_that_is_down_and_makes_its_topics(private_kafka, receiver, tmp_path):
    await private_kafka.astop()
    process = agent(tmp_path, private_kafka.brokers, "late.", receiver.url).start()
    try:
        await asyncio.to_thread(process.wait_log, "waiting for Kafka at")
        assert process.get("/-/ready")[0] == 503
        await private_kafka.astart()
        await asyncio.to_thread(process.wait_ready)
        async with Feed(private_kafka.brokers, "late.") as feed:
            await feed.write(5)
            await drained(process, feed)
            assert not judge([receiver.journal], feed.sent, feed.series).lost
    finally:
        process.kill9()


async def test_an_agent_survives_a_broker_that_is_killed(private_kafka, receiver, tmp_path):
    process = agent(tmp_path, private_kafka.brokers, "k.", receiver.url).start()
    try:
        async with Feed(private_kafka.brokers, "k.") as feed:
            await feed.write(10)
            await drained(process, feed)
            await private_kafka.akill9()
            await asyncio.sleep(5)  # an outage has a length; nothing is awaited here
            await private_kafka.astart()
            await feed.write(10)
            found = await drained(process, feed)
            verdict = judge([receiver.journal], feed.sent, feed.series)
            assert (verdict.lost, verdict.disorder) == ({}, [])
            assert closes(found)
            assert await asyncio.to_thread(process.stop) == 0
    finally:
        process.kill9()


async def test_sigterm_ends_in_time_while_the_broker_is_away(private_kafka, receiver, tmp_path):
    process = agent(tmp_path, private_kafka.brokers, "k.", receiver.url).start()
    try:
        async with Feed(private_kafka.brokers, "k.") as feed:
            await feed.write(1)
            await drained(process, feed)
        await private_kafka.akill9()
        begin = time.monotonic()
        assert await asyncio.to_thread(process.stop) == 0
        assert time.monotonic() - begin < 15
    finally:
        process.kill9()


async def test_a_topic_with_another_partition_count_is_refused_with_both_numbers(
    feed, receiver, tmp_path, kafka, kafka_prefix
):
    process = agent(tmp_path, kafka.brokers, kafka_prefix, receiver.url, partitions=7).start()
    try:
        assert await asyncio.to_thread(process.wait) == 1
        assert "partitions is 4, the configuration says 7" in process.log_text
    finally:
        process.kill9()


async def dead_letters(brokers: str, topic: str, count: int) -> list[Any]:
    """The first `count` records of a dead-letter topic."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        found: list[Any] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                found.append(await consumer.getone())
        return found
    finally:
        await consumer.stop()
