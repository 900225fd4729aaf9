"""From records that hold metadata or start timestamps to what the backend gets, in both versions of remote write."""

from __future__ import annotations

import pytest

from agents.delivery.deadletter import DeadLetters
from agents.delivery.delivery import Delivery, build
from agents.delivery.describe import Describer
from agents.lanes.lane import Lane
from agents.ledger.ledger import Ledger
from pipeline.clients.families import Families
from pipeline.clock import SystemClock
from pipeline.config.backends import Backend
from pipeline.config.remote_write import RemoteWriteConfig
from pipeline.telemetry.metrics import Telemetry
from tests.support.receiver import Answer, Receiver
from tests.unit.agents.builders import TS, names, record, series
from topics import compression, labels, metadata, write_request
from topics.pb.write_request_pb2 import WriteRequest
from topics.pb.write_request_v2_pb2 import Request
from topics.record import METADATA, START_TIMESTAMPS, Kind, RecordHeaders

V2 = "io.prometheus.write.v2.Request"
TOLD = write_request.join_metadata([metadata.encode("hits", "counter", "How many.", "")])


async def never(letter: object) -> None:
    raise AssertionError("nothing is dead here")


class Chain:
    """A delivery as it is built from configuration, a receiver, and what it got."""

    def __init__(self, receiver: Receiver, **raw: object) -> None:
        self.receiver = receiver
        self.clock = SystemClock()
        self.ledger = Ledger(Telemetry(), "b")
        self.families = Families(self.clock)
        settings = RemoteWriteConfig.model_validate({"url": receiver.url, "name": "b", **raw})
        self.delivery: Delivery = build(
            Backend("b", Kind.METRICS, settings),
            {},
            dead_letters=DeadLetters(never, "b", self.clock),
            ledger=self.ledger,
            on_success=lambda lane: None,
            telemetry=Telemetry(),
            clock=self.clock,
            families=self.families,
        )

    async def take(self, *records: object) -> list[int]:
        settled: list[int] = []
        await self.delivery.open()
        await self.delivery.process(Lane(3, self.clock), records, lambda one: settled.append(one.offset))  # type: ignore[arg-type]
        await Describer("b", self.families, self.clock, lambda: self.delivery).look()
        await self.delivery.close()
        return settled


def told(offset: int, body: bytes = TOLD, samples: int = 0, extras: int = METADATA):
    """A record as our producers write it, in the only partition there is."""
    headers = dict(RecordHeaders(Kind.METRICS, 0, samples, TS, TS, "p", offset, extras=extras).encode())
    one = record(body, samples, offset=offset)
    return type(one)(one.topic, 0, offset, b"0/1", one.value, headers, one.timestamp_s)


@pytest.fixture
async def receiver(tmp_path):
    async with Receiver(tmp_path / "journal") as server:
        yield server


def requests(receiver: Receiver) -> list[WriteRequest]:
    return [WriteRequest.FromString(compression.decompress(seen.body)) for seen in receiver.seen]


async def test_1_0_gets_samples_and_metadata_in_requests_of_their_own(receiver):
    chain = Chain(receiver)
    assert await chain.take(told(0), record(series("hits_total", 1), 1, offset=1), told(2)) == [0, 1, 2]
    samples, described = requests(receiver)
    assert (len(samples.timeseries), len(samples.metadata)) == (1, 0)
    assert len(described.timeseries) == 0
    assert [(m.metric_family_name, m.type, m.help) for m in described.metadata] == [("hits", 1, "How many.")]
    assert receiver.seen[1].headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    summary = chain.ledger.summary()
    assert (summary["in"], summary["delivered"], summary["difference"]) == (1, 1, 0)


async def test_metadata_that_is_not_wanted_is_not_sent(receiver):
    chain = Chain(receiver, metadata_config={"send": False})
    mixed = record(TOLD + series("hits_total", 1), 1, offset=1, headers=False)
    assert await chain.take(told(0), mixed) == [0, 1]
    (samples,) = requests(receiver)
    assert (len(samples.timeseries), len(samples.metadata)) == (1, 0)


async def test_metadata_among_the_samples_of_a_foreign_record_is_sent_by_itself(receiver):
    chain = Chain(receiver)
    await chain.take(record(TOLD + series("hits_total", 1), 1, headers=False))
    assert [(len(one.timeseries), len(one.metadata)) for one in requests(receiver)] == [(1, 0), (0, 1)]


async def test_2_0_has_metadata_with_each_series_and_never_by_itself(receiver):
    receiver.script = lambda request, body: Answer(204, headers={"X-Prometheus-Remote-Write-Samples-Written": "1"})
    chain = Chain(receiver, protobuf_message=V2)
    await chain.take(told(0), record(series("hits_total", 1), 1, offset=1))
    (seen,) = receiver.seen
    found = Request.FromString(compression.decompress(seen.body))
    (one,) = found.timeseries
    assert (one.metadata.type, found.symbols[one.metadata.help_ref]) == (1, "How many.")


async def test_2_0_without_metadata_where_it_is_not_wanted(receiver):
    receiver.script = lambda request, body: Answer(204, headers={"X-Prometheus-Remote-Write-Samples-Written": "1"})
    chain = Chain(receiver, protobuf_message=V2, metadata_config={"send": False})
    await chain.take(told(0), record(series("hits_total", 1), 1, offset=1))
    found = Request.FromString(compression.decompress(receiver.seen[0].body))
    assert not found.timeseries[0].HasField("metadata")


async def test_after_a_fall_back_to_1_0_metadata_goes_by_itself(receiver):
    receiver.script = lambda request, body: Answer(415 if "proto=" in request.headers["Content-Type"] else 204)
    chain = Chain(receiver, protobuf_message=V2)
    await chain.take(told(0), record(series("hits_total", 1), 1, offset=1))
    first = [WriteRequest.FromString(compression.decompress(seen.body)) for seen in receiver.seen[1:]]
    assert [(len(one.timeseries), len(one.metadata)) for one in first] == [(1, 0), (0, 1)]


async def test_a_backend_that_takes_no_metadata_holds_up_no_sample(receiver):
    receiver.script = lambda request, body: (
        Answer(400, "no metadata here") if WriteRequest.FromString(compression.decompress(body)).metadata else None
    )
    chain = Chain(receiver)
    assert await chain.take(told(0), *[record(series("m", n), 1, offset=n) for n in range(1, 4)]) == [0, 1, 2, 3]
    assert chain.ledger.summary()["delivered"] == 3


async def test_metadata_among_samples_leaves_rules_and_counts_as_they_are(receiver):
    chain = Chain(
        receiver,
        write_relabel_configs=[{"source_labels": ["__name__"], "regex": "dropped", "action": "drop"}],
    )
    body = TOLD + series("kept", 1) + series("dropped", 2)
    await chain.take(told(0, body, 2))
    assert names(receiver.seen[0].body) == ["kept=1"]
    summary = chain.ledger.summary()
    assert (summary["in"], summary["delivered"], summary["ruled_out"]) == (2, 1, {"0": 1})


def begun(name: str) -> bytes:
    encoded = write_request.encode_labels(labels.make({"__name__": name}))
    return write_request.series(encoded, write_request.since(write_request.sample_field(1, TS), TS - 1000))


async def test_1_0_does_not_get_the_times_at_which_counting_began(receiver):
    chain = Chain(receiver)
    await chain.take(told(0, series("a", 1) + begun("b"), 2, START_TIMESTAMPS))
    (sent,) = receiver.seen
    assert compression.decompress(sent.body) == series("a", 1) + series("b", 1)
    assert chain.ledger.summary()["delivered"] == 2


async def test_2_0_gets_the_times_at_which_counting_began(receiver):
    receiver.script = lambda request, body: Answer(204, headers={"X-Prometheus-Remote-Write-Samples-Written": "2"})
    chain = Chain(receiver, protobuf_message=V2)
    await chain.take(told(0, series("a", 1) + begun("b"), 2, START_TIMESTAMPS))
    found = Request.FromString(compression.decompress(receiver.seen[0].body))
    assert [one.samples[0].start_timestamp for one in found.timeseries] == [0, TS - 1000]


async def test_what_was_stored_although_no_answer_came_is_counted_when_it_comes_again(receiver):
    """The receiver stores the first request, but says nothing in time; the repeat is out of order to it."""
    answers = [Answer(hang_s=5, store=True)]
    receiver.script = lambda request, body: answers.pop() if answers else Answer(400, "out of order sample")
    chain = Chain(receiver, remote_timeout="200ms")
    assert await chain.take(record(series("a", 1) + series("b", 2), 2)) == [0]
    summary = chain.ledger.summary()
    assert (summary["rejected"], summary["dead_lettered"]) == ({"out_of_order": 2}, {})
    assert [seen.headers.get("Retry-Attempt") for seen in receiver.seen if seen.status == 400] == ["1", None, None]
