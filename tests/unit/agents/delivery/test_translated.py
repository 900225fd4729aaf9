"""From records to requests of 2.0: what stands compressed in a record goes compressed through rules and translation."""

from __future__ import annotations

import pytest

from agents.content.batch import Record
from agents.delivery.deadletter import DeadLetters
from agents.delivery.delivery import Delivery, build
from agents.lanes.lane import Lane
from agents.ledger.ledger import Ledger
from pipeline.clients.remote_write import RemoteWrite2Client
from pipeline.clock import SystemClock
from pipeline.config.backends import Backend
from pipeline.config.remote_write import RemoteWriteConfig
from pipeline.telemetry.metrics import Telemetry
from tests.support.receiver import Answer, Receiver, bodies
from tests.unit.clients.test_layout_v2 import TS, block_of, fragment, labels_of, source
from topics import compression
from topics.compression import decompress, join_blocks, preamble_bytes
from topics.pb.write_request_pb2 import WriteRequest
from topics.pb.write_request_v2_pb2 import Request
from topics.record import Kind, RecordHeaders

V2 = "io.prometheus.write.v2.Request"
DROP_SUMS = {"source_labels": ["__name__"], "regex": "m_sum", "action": "drop"}
ADD = {"target_label": "cluster", "replacement": "eu"}
SOURCES = {"a": source("a", 240), "b": source("b", 180)}
COUNTS = {"a": 240, "b": 180}


def record(turn: int) -> tuple[Record, bytes]:
    """Two targets' series in one record, and the same decoded."""
    blocks, body = [], b""
    for number, (job, made) in enumerate(SOURCES.items()):
        values = [turn * 1000.0 + number * 100 + index / 7 for index in range(COUNTS[job])]
        blocks.append(block_of(made, values, TS + turn))
        body += fragment(job, values, TS + turn)
    fragments = tuple(compression.decoded_size(one) for one in blocks)
    elements = tuple(len(one) - preamble_bytes(one) for one in blocks)
    items = sum(COUNTS.values())
    headers = RecordHeaders(
        Kind.METRICS, items, items, TS + turn, TS + turn, "p", turn, fragments=fragments, elements=elements
    )
    return Record("headrace.metrics", 3, turn, None, join_blocks(blocks), dict(headers.encode()), 0.0), body


def delivery(url: str, rules: list[dict], message: str) -> Delivery:
    raw = {"url": url, "name": "b", "write_relabel_configs": rules, "protobuf_message": message}
    clock = SystemClock()

    async def never(letter: object) -> None:
        raise AssertionError("nothing is dead here")

    return build(
        Backend("b", Kind.METRICS, RemoteWriteConfig.model_validate(raw)),
        {},
        dead_letters=DeadLetters(never, "b", clock),
        ledger=Ledger(Telemetry(), "b"),
        on_success=lambda lane: None,
        telemetry=Telemetry(),
        clock=clock,
    )


async def sent(tmp_path, rules: list[dict], message: str) -> tuple[list[bytes], Delivery]:
    """What a backend gets of twelve records."""
    written = Answer(headers={"X-Prometheus-Remote-Write-Samples-Written": "1000000"})
    journal = tmp_path / message
    async with Receiver(journal, lambda request, body: written) as receiver:
        one = delivery(receiver.url, rules, message)
        await one.open()
        for turn in range(12):
            await one.process(Lane(3, SystemClock()), [record(turn)[0]], lambda done: None)
        await one.close()
    return [decompress(body) for body in bodies(journal)], one


@pytest.mark.parametrize("rules", [[], [DROP_SUMS, ADD]], ids=["no rules", "rules"])
async def test_both_versions_say_the_same_of_records_that_are_never_decoded(tmp_path, rules):
    first, _ = await sent(tmp_path, rules, "prometheus.WriteRequest")
    second, used = await sent(tmp_path, rules, V2)
    assert len(first) == len(second) == 12
    for turn, (one, other) in enumerate(zip(first, second, strict=True)):
        old, new = WriteRequest.FromString(one), Request.FromString(other)
        said = [
            ({label.name: label.value for label in series.labels}, series.samples[0].value, series.samples[0].timestamp)
            for series in old.timeseries
        ]
        assert [
            (labels_of(new, series), series.samples[0].value, series.samples[0].timestamp) for series in new.timeseries
        ] == said
        assert {stamp for *_, stamp in said} == {TS + turn}
        if not rules:
            assert WriteRequest.FromString(record(turn)[1]) == old
    client = used._client
    assert isinstance(client, RemoteWrite2Client)
    assert len(client._translator._layouts._memo.known) >= 2
