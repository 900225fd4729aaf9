"""What real backends answer to what they do not take, and what headrace makes of it.

The rows of profiles.py that have a peer here; Loki's are in test_loki_limits.py.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from pipeline.clients.outcome import Delivered, Outcome, Rejected
from pipeline.clients.remote_write import remote_write_client
from pipeline.clock import SystemClock
from pipeline.config.remote_write import RemoteWriteConfig
from topics import compression, labels, write_request

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
HOUR_MS = 3_600_000
PROMETHEUS = [
    pytest.param("prometheus", V1, marks=pytest.mark.prometheus, id="prometheus-2.42"),
    pytest.param("prometheus3", V1, marks=pytest.mark.prometheus3, id="prometheus-3"),
    pytest.param("prometheus3", V2, marks=pytest.mark.prometheus3, id="prometheus-3-by-2.0"),
]


class Sender:
    """Sends single samples of one series and says what became of them."""

    def __init__(self, server: Any, message: str, profile: str) -> None:
        raw = {"url": server.write_url, "name": "b", "protobuf_message": message, "profile": profile}
        self.client = remote_write_client(RemoteWriteConfig.model_validate(raw), SystemClock())
        self.now_ms = int(time.time() * 1000)

    async def send(self, ahead_ms: int, value: float, name: str = "m") -> Outcome:
        encoded = write_request.encode_labels(labels.make({"__name__": name, "job": "outcomes"}))
        sample = write_request.sample_field(value, self.now_ms + ahead_ms)
        return await self.client.send(compression.compress(write_request.series(encoded, sample)))

    async def reason(self, ahead_ms: int, value: float, name: str = "m") -> str:
        outcome = await self.send(ahead_ms, value, name)
        assert isinstance(outcome, Rejected), outcome
        assert outcome.detail, "the backend's own words are kept"
        return outcome.reason


@pytest.fixture(params=["prometheus", "generic"])
def profile(request) -> str:
    return request.param


@pytest.mark.parametrize(("peer", "message"), PROMETHEUS)
async def test_prometheus_names_what_it_does_not_take(peer, message, profile, request):
    sender = Sender(request.getfixturevalue(peer), message, profile)
    async with sender.client:
        assert await sender.send(0, 1) == Delivered()
        assert await sender.send(0, 1) == Delivered()  # the very same again
        assert await sender.reason(0, 2) == "duplicate"
        assert await sender.reason(-60_000, 1) == "out_of_order"
        assert await sender.reason(-48 * HOUR_MS, 1, "other") == "too_old"
        assert await sender.send(1000, 3) == Delivered()
        if peer == "prometheus":  # the old one takes what lies in the future
            assert await sender.send(24 * HOUR_MS, 1) == Delivered()
        else:
            assert await sender.reason(24 * HOUR_MS, 1) == "too_far_ahead"


@pytest.mark.victoriametrics
async def test_victoriametrics_takes_everything_in_any_order(victoriametrics):
    sender = Sender(victoriametrics, V1, "victoriametrics")
    async with sender.client:
        for ahead_ms, value in ((0, 1), (0, 2), (-60_000, 1), (-48 * HOUR_MS, 1)):
            assert await sender.send(ahead_ms, value) == Delivered()
        broken = await sender.client.send(b"\xff\xff\xff")
    assert isinstance(broken, Rejected)
    assert (broken.reason, broken.status) == ("bad_request", 400)
