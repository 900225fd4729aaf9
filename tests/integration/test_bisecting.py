"""A request with something bad in it, at real backends: the good is there, the bad is in the dead letters, once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from agents.content.batch import Record
from agents.delivery.deadletter import DeadLetter, DeadLetters
from agents.delivery.delivery import Delivery, build
from agents.lanes.lane import Lane
from agents.ledger.ledger import Ledger
from pipeline.clock import SystemClock
from pipeline.config.backends import Backend
from pipeline.config.remote_write import RemoteWriteConfig
from pipeline.telemetry.metrics import Telemetry
from tests.support.process import wait_for
from topics import compression, labels, write_request
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind, RecordHeaders

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
STRICT = [
    pytest.param("prometheus", V1, marks=pytest.mark.prometheus, id="prometheus-2.42"),
    pytest.param("prometheus3", V1, marks=pytest.mark.prometheus3, id="prometheus-3"),
    pytest.param("prometheus3", V2, marks=pytest.mark.prometheus3, id="prometheus-3-by-2.0"),
]
SERIES = 400


class Chain:
    """A delivery to one server as it is built from configuration; dead letters in a list."""

    def __init__(self, server: Any, message: str) -> None:
        self.letters: list[DeadLetter] = []
        self.ledger = Ledger(Telemetry(), "b")
        clock = SystemClock()
        raw = {"url": server.write_url, "name": "b", "protobuf_message": message, "profile": "prometheus"}
        self.delivery: Delivery = build(
            Backend("b", Kind.METRICS, RemoteWriteConfig.model_validate(raw)),
            {},
            dead_letters=DeadLetters(self._store, "b", clock),
            ledger=self.ledger,
            on_success=lambda lane: None,
            telemetry=Telemetry(),
            clock=clock,
        )
        self.lane = Lane(0, clock)
        self._offset = 0

    async def _store(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    async def send(self, *samples: tuple[int, int, float], seen_before: bool = False) -> None:
        """Series number, time in ms, value: each a series of its own in one record."""
        body = b"".join(
            write_request.series(
                write_request.encode_labels(labels.make({"__name__": "m", "n": str(number)})),
                write_request.sample_field(value, at_ms),
            )
            for number, at_ms, value in samples
        )
        stamps = [at_ms for _, at_ms, _ in samples]
        headers = RecordHeaders(Kind.METRICS, len(samples), len(samples), min(stamps), max(stamps), "p", self._offset)
        record = Record(
            "headrace.metrics", 0, self._offset, b"0/1", compression.compress(body), dict(headers.encode()), 0.0,
            seen_before,
        )  # fmt: skip
        self._offset += 1
        await self.delivery.process(self.lane, [record], lambda done: None)

    def summary(self) -> dict[str, Any]:
        found = self.ledger.summary()
        assert found["difference"] == found["pending"] == 0
        return found


@pytest.mark.parametrize(("peer", "message"), STRICT)
async def test_the_bad_ones_are_found_and_all_others_are_there(peer, message, request):
    server = request.getfixturevalue(peer)
    chain = Chain(server, message)
    now_ms = int(time.time() * 1000) - 60_000
    bad = {3, 200, 201, 399}
    await chain.delivery.open()
    await chain.send(*((number, now_ms, 1.0) for number in sorted(bad)))
    # Older ones of these series, among new ones of all others.
    await chain.send(*((n, now_ms - 1000 if n in bad else now_ms + 1000, 2.0) for n in range(SERIES)))
    await chain.delivery.close()
    assert chain.summary()["delivered"] == len(bad) + SERIES - len(bad)
    assert chain.summary()["dead_lettered"] == {"out_of_order": len(bad)}
    dead = {
        label.value
        for letter in chain.letters
        for one in WriteRequest.FromString(compression.decompress(letter.value)).timeseries
        for label in one.labels
        if label.name == "n"
    }
    assert dead == {str(number) for number in bad}
    wait_for("the good ones", lambda: len(server.series("m")) == SERIES)
    stored = server.series("m")
    values = {dict(key)["n"]: [float(text) for _, text in samples] for key, samples in stored.items()}
    assert values == {str(n): [1.0] if n in bad else [2.0] for n in range(SERIES)}


@pytest.mark.parametrize(("peer", "message"), STRICT)
async def test_what_comes_again_after_a_crash_is_counted_and_nothing_of_it_is_dead(peer, message, request):
    server = request.getfixturevalue(peer)
    chain = Chain(server, message)
    now_ms = int(time.time() * 1000) - 60_000
    first = [(number, now_ms, 1.0) for number in range(50)]
    second = [(number, now_ms + 1000, 2.0) for number in range(50)]
    await chain.delivery.open()
    await chain.send(*first)
    await chain.send(*second)
    await chain.send(*first, seen_before=True)  # older than what is there by now
    await chain.send(*second, seen_before=True)  # the very same
    await chain.delivery.close()
    found = chain.summary()
    assert (found["delivered"], found["rejected"], found["dead_lettered"]) == (150, {"out_of_order": 50}, {})
    assert chain.letters == []
