"""What targets say beside their samples, from the exposition through a real Kafka to the backends: type, help and unit,
and when counting began.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import Prometheus, VictoriaMetrics
from tests.support.kafka import KafkaPeer
from tests.support.process import Headrace, wait_for
from tests.support.receiver import Receiver
from topics import compression
from topics.pb.write_request_pb2 import MetricMetadata, WriteRequest

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

BEGAN_S = int(time.time()) - 600
EXPOSITION = f"""# TYPE orders_euros counter
# UNIT orders_euros euros
# HELP orders_euros What was earned.
orders_euros_total{{shop="a"}} 5
orders_euros_created{{shop="a"}} {BEGAN_S}
# TYPE temperature_celsius gauge
# UNIT temperature_celsius celsius
# HELP temperature_celsius How warm it is.
temperature_celsius 20
# EOF
"""
V2 = "io.prometheus.write.v2.Request"


class _Target(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = EXPOSITION.replace(
            'orders_euros_total{shop="a"} 5', f'orders_euros_total{{shop="a"}} {next(_COUNT)}'
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


_COUNT = iter(range(5, 1_000_000))


@pytest.fixture
def target() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Target)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str, target: str) -> Iterator[Any]:
    """Starts `headrace run` with these backends."""
    started: list[Headrace] = []

    def start(*backends: dict[str, Any], **job: Any) -> Headrace:
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [target]}], **job}],
            "remote_write": list(backends),
            "topics": {"partitions": 4},
        }
        file = tmp_path / "prometheus.yml"
        file.write_text(json.dumps(config))
        flags = (f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={kafka_prefix}")
        started.append(Headrace("run", f"--config.file={file}", f"--storage.path={tmp_path / 'headrace'}", *flags))
        return started[-1].start().wait_ready()

    yield start
    for one in started:
        one.__exit__()


@pytest.mark.victoriametrics
@pytest.mark.prometheus
async def test_1_0_gets_metadata_by_itself_each_family_once_in_its_interval(
    run, tmp_path, prometheus, victoriametrics: VictoriaMetrics
):
    async with Receiver(tmp_path / "journal") as receiver:
        headrace = await asyncio.to_thread(
            run,
            {"name": "contract", "url": receiver.url, "metadata_config": {"send_interval": "1h"}},
            {"name": "silent", "url": f"{receiver.url}?silent", "metadata_config": {"send": False}},
            {"name": "prometheus", "url": prometheus.write_url, "metadata_config": {"send_interval": "1s"}},
            {"name": "victoria", "url": victoriametrics.write_url, "metadata_config": {"send_interval": "1s"}},
        )

        def described() -> dict[str, list[MetricMetadata]]:
            found: dict[str, list[MetricMetadata]] = {}
            for seen in receiver.seen:
                request = WriteRequest.FromString(compression.decompress(seen.body))
                assert not (request.timeseries and request.metadata), "they go in requests of their own"
                for one in request.metadata:
                    found.setdefault(one.metric_family_name, []).append(one)
            return found

        try:
            async with asyncio.timeout(60):
                while len(described()) < 2 or receiver.requests < 20:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"{receiver.requests} requests, {described()}: {headrace.log_text[-3000:]}")
    found = described()
    assert {name: len(told) for name, told in found.items()} == {"orders_euros": 1, "temperature_celsius": 1}
    (orders,), (temperature,) = found["orders_euros"], found["temperature_celsius"]
    assert (orders.type, orders.help, orders.unit) == (MetricMetadata.COUNTER, "What was earned.", "euros")
    assert (temperature.type, temperature.unit) == (MetricMetadata.GAUGE, "celsius")
    for server in (prometheus, victoriametrics):  # what takes no metadata takes the samples
        await asyncio.to_thread(wait_for, f"samples in {server.name}", lambda s=server: s.query("orders_euros_total"))


@pytest.fixture
def describing_prometheus3(prometheus3_bin: Path) -> Iterator[Prometheus]:
    """One that makes labels of types and units, and a zero of the time at which counting began."""
    server = Prometheus(prometheus3_bin)
    server.features = ("type-and-unit-labels", "created-timestamp-zero-ingestion")
    yield server.start()
    server.close()


@pytest.mark.prometheus3
def test_2_0_describes_each_series_and_says_when_its_counting_began(run, describing_prometheus3):
    server = describing_prometheus3
    run({"name": "p3", "url": server.write_url, "protobuf_message": V2}, start_timestamps=True)
    counter = 'orders_euros_total{shop="a", __type__="counter", __unit__="euros"}'
    gauge = 'temperature_celsius{__type__="gauge", __unit__="celsius"}'
    wait_for("the counter, described", lambda: server.query(counter))
    wait_for("the gauge, described", lambda: server.query(gauge))
    (samples,) = server.series(counter, window="10y").values()
    assert samples[0] == (BEGAN_S * 1000, "0")
    assert server.query("orders_euros_created") == []
