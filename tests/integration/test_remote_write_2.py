"""Remote write 2.0 to a receiver that knows it, and to those that do not: the same samples are there afterwards."""

from __future__ import annotations

import logging
import time

import pytest

from pipeline.clients.outcome import Delivered
from pipeline.clients.remote_write import remote_write_client
from pipeline.clock import SystemClock
from pipeline.config.remote_write import RemoteWriteConfig
from tests.support.process import wait_for
from topics import compression, labels, write_request
from topics.pb.write_request_pb2 import Histogram, MetricMetadata, WriteRequest

RECEIVERS = [
    pytest.param("prometheus3", False, marks=pytest.mark.prometheus3, id="prometheus3"),
    pytest.param("prometheus", True, marks=pytest.mark.prometheus, id="prometheus"),
    pytest.param("victoriametrics", True, marks=pytest.mark.victoriametrics, id="victoriametrics"),
]


def settings(url: str) -> RemoteWriteConfig:
    raw = {"url": url, "name": "b", "protobuf_message": "io.prometheus.write.v2.Request"}
    return RemoteWriteConfig.model_validate(raw)


@pytest.mark.parametrize(("peer", "falls_back"), RECEIVERS)
async def test_every_receiver_stores_what_is_sent(peer, falls_back, request, caplog):
    caplog.set_level(logging.WARNING)
    receiver = request.getfixturevalue(peer)
    now_ms = int(time.time() * 1000) - 60_000
    body = b""
    for number in range(50):
        pairs = labels.make({"__name__": "sent_total", "number": str(number), "job": "second"})
        samples = b"".join(write_request.sample_field(number + step, now_ms + step * 1000) for step in range(3))
        body += write_request.series(write_request.encode_labels(pairs), samples)
    told = MetricMetadata(type=MetricMetadata.COUNTER, metric_family_name="sent_total", help="How many were sent.")
    body += write_request.join_metadata([told.SerializeToString()])
    async with remote_write_client(settings(receiver.write_url), SystemClock()) as client:
        assert await client.send(compression.compress(body)) == Delivered()
    assert any("1.0 from now on" in record.getMessage() for record in caplog.records) == falls_back

    def stored() -> dict | None:
        found = receiver.series("sent_total")
        return found if sum(map(len, found.values())) >= 150 else None

    found = wait_for("150 samples", stored)
    assert len(found) == 50
    for key, values in found.items():
        number = int(dict(key)["number"])
        assert [(ms, float(text)) for ms, text in values] == [(now_ms + n * 1000, number + n) for n in range(3)]


@pytest.mark.prometheus3
async def test_native_histograms_and_their_metadata_reach_prometheus_3(prometheus3):
    sent = WriteRequest()
    one = sent.timeseries.add()
    one.labels.add(name="__name__", value="latency_seconds")
    one.labels.add(name="job", value="second")
    histogram = Histogram(count_int=6, sum=18.4, schema=1, zero_threshold=0.001, zero_count_int=1)
    histogram.timestamp = int(time.time() * 1000)
    histogram.positive_spans.add(offset=0, length=2)
    histogram.positive_deltas.extend([2, 1])
    one.histograms.append(histogram)
    async with remote_write_client(settings(prometheus3.write_url), SystemClock()) as client:
        assert await client.send(compression.compress(sent.SerializeToString())) == Delivered()

    def count() -> float | None:
        found = prometheus3.query("histogram_count(latency_seconds)")
        return float(found[0]["value"][1]) if found else None

    assert wait_for("the histogram", count) == 6.0
