"""Dead letters over the command line: found, shown, sent again through the rules of today, laid aside."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from agents.content.batch import Piece, Record
from agents.delivery.deadletter import DeadLetters
from agents.dlq.__main__ import main
from agents.offline.sending import Writer
from pipeline.clock import SystemClock
from pipeline.config.load import load
from tests.support.receiver import Answer, Receiver, bodies
from tests.support.rig import START_MS, Feed, agent, judge
from topics import compression, write_request
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from pathlib import Path

    from agents.delivery.deadletter import DeadLetter
    from tests.support.process import Headrace

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

WORDS = "I do not like series like this"
BAD = {("1", "3"), ("2", "7")}  # partition and number of the series that the backend does not like


def series_of(body: bytes) -> list[tuple[str, str, list[float]]]:
    """Partition, number and values of each series."""
    found = []
    for one in WriteRequest.FromString(compression.decompress(body)).timeseries:
        labels = {label.name: label.value for label in one.labels}
        found.append((labels["partition"], labels["series"], [sample.value for sample in one.samples]))
    return found


def fussy(_request: Any, body: bytes) -> Answer | None:
    bad = any((partition, number) in BAD for partition, number, _ in series_of(body))
    return Answer(400, WORDS) if bad else None


class Dlq:
    """`headrace dlq …` for one configuration."""

    def __init__(self, file: Path) -> None:
        self.file = file

    async def run(self, *args: str) -> tuple[int, str, str]:
        """In this process, in a thread: the commands bring a loop of their own."""
        line = [*args, f"--config.file={self.file}"]
        done = await asyncio.to_thread(CliRunner().invoke, main, line, prog_name="headrace dlq")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done.exit_code, done.stdout, done.stderr

    async def process(self, *args: str) -> tuple[int, str, str]:
        """As an operator calls it."""
        argv = [sys.executable, "-P", "-m", "pipeline.cli", "dlq", *args, f"--config.file={self.file}"]
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    async def found(self, *args: str) -> list[dict[str, Any]]:
        code, out, err = await self.run("list", "--output=json", *args)
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
async def receiver(tmp_path):
    async with Receiver(tmp_path / "journal", fussy) as server:
        server.keep_seen = False
        yield server


def configured(tmp_path: Path, feed: Feed, kafka: Any, prefix: str, url: str) -> Headrace:
    """An agent, not started; its configuration is written."""
    return agent(tmp_path, kafka.brokers, prefix, url, partitions=feed.partitions)


@pytest.fixture
async def dlq(tmp_path, kafka, kafka_prefix, feed, receiver):
    """Six letters as an agent stores them: three rounds of two series that the backend rejected."""
    configured(tmp_path, feed, kafka, kafka_prefix, receiver.url)
    config = load(tmp_path / "headrace.yml")
    async with Writer(config) as writer:

        async def store(letter: DeadLetter) -> None:
            await writer.store(feed.names.metrics_dead, letter.partition, letter.key, letter.value, letter.headers)

        letters = DeadLetters(store, "b", SystemClock())
        for value in (1, 2, 3):
            for partition, number in sorted(BAD):
                at = int(partition)
                encoded = write_request.encode_labels(feed.labels(at, int(number)))
                sample = write_request.sample_field(float(value), START_MS + value * 1000)
                block = compression.compress(write_request.series(encoded, sample))
                headers = dict(RecordHeaders(Kind.METRICS, 20, 20, 1, 2, "rig", value).encode())
                record = Record(feed.topic, at, value, b"1/4", b"the whole record", headers, time.time())
                piece = Piece(record, block, 1)
                await letters.store(piece, reason="bad_request", detail=WORDS, status=400)
    return Dlq(tmp_path / "headrace.yml")


async def test_what_an_agent_dead_letters_is_listed_and_arrives_when_it_is_sent_again(
    tmp_path, kafka, kafka_prefix, feed, receiver
):
    process = configured(tmp_path, feed, kafka, kafka_prefix, receiver.url)
    await feed.write(3)
    try:
        process.start()
        deadline = time.monotonic() + 90
        while (await asyncio.to_thread(process.status)).get("ledger", {}).get("dead_lettered") != {"bad_request": 6}:
            assert time.monotonic() < deadline, process.log_text
            await asyncio.sleep(0.1)
        assert await asyncio.to_thread(process.stop) == 0
    finally:
        process.kill9()
    dlq = Dlq(tmp_path / "headrace.yml")
    assert sum(one["items"] for one in await dlq.found()) == 6
    receiver.script = None
    code, out, err = await dlq.process("redrive", "--backend=b", "--yes")
    assert (code, err) == (0, "")
    assert "6 delivered" in out
    assert await dlq.found() == []
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats) == ({}, 0)


async def test_letters_are_listed_counted_and_found_by_filters(dlq):
    found = await dlq.found()
    assert len(found) == 6
    assert {(one["backend"], one["reason"], one["status"], one["items"]) for one in found} == {
        ("b", "bad_request", "400", 1)
    }
    assert {one["detail"] for one in found} == {WORDS}
    assert len(await dlq.found("--backend=b", "--reason=bad_request", "--topic=metrics", "--since=1h")) == 6
    assert await dlq.found("--backend=other") == []
    assert await dlq.found("--reason=limit") == []
    assert await dlq.found("--until=1h") == []
    assert await dlq.found("--topic=logs") == []
    assert len(await dlq.found("--match", 'numbered{partition="1"}')) == 3
    assert await dlq.found("--match", 'other{partition="1"}') == []

    code, out, _ = await dlq.run("list", "--limit=2")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("metrics/")
    assert "… and 4 more" in lines[2]
    assert lines[3].startswith("b: bad_request: 6 letters with 6 samples")


async def test_a_letter_is_shown_with_what_it_holds(dlq):
    (first, *_) = await dlq.found("--match", '{partition="2",series="7"}')
    code, out, _ = await dlq.run("show", first["id"])
    assert code == 0
    assert "reason: bad_request" in out
    assert '{__name__="numbered", partition="2", series="7"} 1.0 2023-11-14T22:13:21Z' in out
    code, _, err = await dlq.run("show", "metrics/0/999999")
    assert code == 1
    assert "there is no such letter" in err


async def test_redriven_letters_arrive_in_order_and_are_gone_from_the_list(dlq, receiver):
    before = len(list(bodies(receiver.journal)))
    code, out, err = await dlq.run("redrive", "--backend=b", "--dry-run")
    assert (code, err) == (0, "")
    assert "6 letters" in out
    code, _, err = await dlq.run("redrive", "--backend=b")
    assert code == 2
    assert "add --yes" in err
    assert len(await dlq.found()) == 6

    receiver.script = None  # it was persuaded
    code, out, err = await dlq.run("redrive", "--match", '{partition="1"}', "--yes")
    assert (code, err) == (0, "")
    assert "3 delivered" in out
    assert [one for body in list(bodies(receiver.journal))[before:] for one in series_of(body)] == [
        ("1", "3", [value]) for value in (1, 2, 3)
    ]
    assert {one["id"].split("/")[1] for one in await dlq.found()} == {"2"}
    assert {one["state"] for one in await dlq.found("--all", "--match", '{partition="1"}')} == {"redriven"}


async def test_todays_rules_apply_and_what_is_rejected_again_is_a_new_letter(dlq, receiver):
    code, out, _ = await dlq.run("redrive", "--match", '{partition="1"}', "--yes")
    assert code == 0
    assert "3 dead lettered" in out
    assert len(await dlq.found()) == 6  # three marked, three new

    rule = '{"source_labels": ["partition"], "regex": "2", "action": "drop"}'
    text = dlq.file.read_text()
    dlq.file.write_text(text.replace("- name: b", f"- write_relabel_configs: [{rule}]\n  name: b"))
    seen = receiver.requests
    code, out, err = await dlq.run("redrive", "--match", '{partition="2"}', "--yes")
    assert code == 0, err
    assert "3 ruled out" in out
    assert receiver.requests == seen


async def test_dropped_letters_are_listed_no_more(dlq):
    (first, second, *_) = await dlq.found()
    code, out, _ = await dlq.run("drop", first["id"], second["id"], "--yes")
    assert (code, "2 letters dropped" in out) == (0, True)
    assert len(await dlq.found()) == 4


async def test_nothing_is_done_to_letters_that_nobody_named(dlq):
    for command in ("redrive", "drop"):
        code, _, err = await dlq.run(command, "--yes")
        assert code == 2
        assert "say which letters" in err
    code, _, err = await dlq.run("show", "nonsense")
    assert code == 2
    assert "is no ID" in err
    code, _, err = await dlq.run("list", "--match", "{broken")
    assert code == 2
    assert "selector" in err


async def test_a_letter_whose_backend_is_gone_stays_and_the_message_says_why(dlq):
    dlq.file.write_text(dlq.file.read_text().replace("name: b", "name: other"))
    code, _, err = await dlq.run("redrive", "--reason=bad_request", "--yes")
    assert code == 1
    assert "no backend called b" in err
    assert len(await dlq.found()) == 6
