"""The sink answers as the real receivers do: one suite for all of them, so that the fake stays honest."""

from __future__ import annotations

import json
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.backends import PromApi
from tests.support.process import Headrace, wait_for
from topics import compression, labels, push_request, write_request
from topics.pb.write_request_pb2 import MetricMetadata, WriteRequest

METRICS = [
    pytest.param("sink", id="sink"),
    pytest.param("strict sink", id="strict-sink"),
    pytest.param("prometheus", marks=pytest.mark.prometheus, id="prometheus"),
    pytest.param("prometheus3", marks=pytest.mark.prometheus3, id="prometheus3"),
    pytest.param("victoriametrics", marks=pytest.mark.victoriametrics, id="victoriametrics"),
]
STRICT = [METRICS[1], METRICS[2], METRICS[3]]
LOGS = [pytest.param("sink", id="sink"), pytest.param("loki", marks=pytest.mark.loki, id="loki")]
PROTOBUF = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@dataclass
class Receiver:
    """One receiver: `write` posts a body as it is; `count` finds how many samples (stale markers apart) it has."""

    url: str
    count: Callable[[], int]

    def write(self, body: bytes) -> tuple[int, str]:
        return post(self.url, body, PROTOBUF)

    def send(self, *fragments: bytes) -> tuple[int, str]:
        return self.write(compression.compress(b"".join(fragments)))

    def has(self, samples: int) -> None:
        wait_for(f"{samples} samples", lambda: self.count() == samples)


def sink_count(sink: Headrace) -> int:
    report: dict[str, Any] = json.loads(sink.get("/api/v1/report")[1])
    stale: int = report["totals"]["stale_markers"]
    return int(report["metrics"]["samples"]) - int(report["metrics"]["duplicates"]) - stale


def is_stale(text: str) -> bool:
    return text == "NaN"


def peer_count(peer: PromApi) -> int:
    return sum(not is_stale(text) for values in peer.series('{__name__=~".+"}').values() for _, text in values)


@pytest.fixture
def receiver(request):
    name = request.param
    if not name.endswith("sink"):
        peer = request.getfixturevalue(name)
        yield Receiver(peer.write_url, lambda: peer_count(peer))
        return
    flags = ["--strict"] if name == "strict sink" else []
    with Headrace("sink", *flags) as sink:
        sink.wait_ready()
        yield Receiver(sink.web + "/api/v1/write", lambda: sink_count(sink))


@pytest.fixture
def now_ms() -> int:
    return int(time.time() * 1000) - 60_000


def series(name: str, *samples: tuple[int, float]) -> bytes:
    pairs = labels.make({"__name__": name, "job": "contract"})
    fields = b"".join(write_request.sample_field(value, ts) for ts, value in samples)
    return write_request.series(write_request.encode_labels(pairs), fields)


@pytest.mark.parametrize("receiver", METRICS, indirect=True)
def test_samples_are_accepted_and_there(receiver, now_ms):
    assert receiver.send(*(series(f"m{n}", (now_ms, n), (now_ms + 1000, n)) for n in range(100)))[0] in (200, 204)
    receiver.has(200)


@pytest.mark.parametrize("receiver", METRICS, indirect=True)
def test_joined_blocks_are_one_request(receiver, now_ms):
    blocks = [compression.compress(series(f"m{n}", (now_ms, n))) for n in range(20)]
    assert receiver.write(compression.join_blocks(blocks))[0] in (200, 204)
    receiver.has(20)


@pytest.mark.parametrize("receiver", METRICS, indirect=True)
def test_the_same_sample_again_is_accepted_and_stored_once(receiver, now_ms):
    for _ in range(2):
        assert receiver.send(series("m", (now_ms, 1.5)))[0] in (200, 204)
    assert receiver.send(series("m", (now_ms + 1000, 2.5)))[0] in (200, 204)
    wait_for("both samples", lambda: receiver.count() in (2, 3))  # VictoriaMetrics keeps repeats


@pytest.mark.parametrize("receiver", METRICS, indirect=True)
def test_stale_markers_empty_requests_exemplars_and_metadata_are_accepted(receiver, now_ms):
    request = WriteRequest.FromString(series("m", (now_ms, 1.0)))
    request.timeseries[0].exemplars.add(value=1.0, timestamp=now_ms).labels.add(name="trace_id", value="x")
    request.metadata.add(type=MetricMetadata.COUNTER, metric_family_name="m", help="A counter.")
    assert receiver.send(request.SerializeToString())[0] in (200, 204)
    assert receiver.send(series("m", (now_ms + 1000, write_request.STALE_NAN)))[0] in (200, 204)
    assert receiver.send()[0] in (200, 204)
    receiver.has(1)


@pytest.mark.parametrize("receiver", METRICS, indirect=True)
@pytest.mark.parametrize(
    "body", [b"no snappy block", compression.compress(b"no protobuf message")], ids=["block", "message"]
)
def test_what_is_no_request_is_answered_400(receiver, body):
    status, words = receiver.write(body)
    assert status == 400
    assert words


@pytest.mark.parametrize("receiver", STRICT, indirect=True)
def test_an_older_sample_is_refused_in_the_words_of_prometheus(receiver, now_ms):
    assert receiver.send(series("m", (now_ms, 1.0)))[0] in (200, 204)
    status, words = receiver.send(series("m", (now_ms - 1000, 2.0)))
    assert status == 400
    assert "out of order sample" in words
    receiver.has(1)


@pytest.mark.parametrize("receiver", STRICT, indirect=True)
def test_another_value_for_a_timestamp_is_refused_in_the_words_of_prometheus(receiver, now_ms):
    assert receiver.send(series("m", (now_ms, 1.0)))[0] in (200, 204)
    status, words = receiver.send(series("m", (now_ms, 2.0)))
    assert status == 400
    assert "duplicate sample for timestamp" in words
    receiver.has(1)


@pytest.mark.parametrize("receiver", STRICT[:2], indirect=True)
def test_of_a_refused_request_nothing_is_taken(receiver, now_ms):
    """As Prometheus 2.42; Prometheus 3 takes the good ones."""
    assert receiver.send(series("m", (now_ms, 1.0)))[0] in (200, 204)
    assert (
        receiver.send(series("a", (now_ms, 1.0)), series("m", (now_ms - 1000, 2.0)), series("z", (now_ms, 1.0)))[0]
        == 400
    )
    receiver.has(1)


@dataclass
class LogReceiver:
    """One receiver of Loki's push API; `lines` finds what it has of a stream, oldest first."""

    url: str
    count: Callable[[], int]

    def push(self, body: bytes, content_type: str = "application/x-protobuf") -> tuple[int, str]:
        return post(self.url, body, {"Content-Type": content_type})


@pytest.fixture
def log_receiver(request):
    if request.param == "loki":
        loki = request.getfixturevalue("loki")
        yield LogReceiver(loki.push_url, lambda: loki_count(loki))
        return
    with Headrace("sink") as sink:
        sink.wait_ready()
        yield LogReceiver(
            sink.web + "/loki/api/v1/push", lambda: json.loads(sink.get("/api/v1/report")[1])["logs"]["lines"]
        )


def loki_count(loki: Any) -> int:
    return sum(len(stream["values"]) for stream in loki.query_range('{app="contract"}'))


@pytest.mark.parametrize("log_receiver", LOGS, indirect=True)
def test_pushes_in_both_forms_are_accepted_and_there(log_receiver):
    now_ns = time.time_ns() - 10**9
    entries = push_request.encode_entry(now_ns, b"one") + push_request.encode_entry(
        now_ns + 1, b"two", [("trace_id", "t")]
    )
    body = compression.compress(push_request.stream(b'{app="contract"}', entries))
    assert log_receiver.push(body)[0] == 204
    values = [[str(now_ns + 2), "three"]]
    text = json.dumps({"streams": [{"stream": {"app": "contract"}, "values": values}]})
    assert log_receiver.push(text.encode(), "application/json")[0] == 204
    wait_for("three lines", lambda: log_receiver.count() == 3)


@pytest.mark.parametrize("log_receiver", LOGS, indirect=True)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"no snappy block", "application/x-protobuf"),
        (compression.compress(b"no protobuf message"), "application/x-protobuf"),
        (
            compression.compress(push_request.stream(b"{app=", push_request.encode_entry(1, b"x"))),
            "application/x-protobuf",
        ),
        (b"{", "application/json"),
    ],
    ids=["block", "message", "labels", "json"],
)
def test_what_is_no_push_is_answered_400(log_receiver, body, content_type):
    assert log_receiver.push(body, content_type)[0] == 400


def test_the_stale_marker_of_this_suite_is_the_real_one():
    assert struct.pack("<d", write_request.STALE_NAN) == struct.pack("<Q", write_request.STALE_NAN_BITS)
