"""From configuration to delivery: what `queue_config` means, and what age does."""

from __future__ import annotations

import time

import pytest

from agents.content.batch import Record
from agents.delivery import delivery as deliveries
from agents.delivery.deadletter import DeadLetters
from agents.delivery.delivery import AGE_LIMIT, AgeLimit, Delivery, build
from agents.lanes.lane import Lane
from agents.ledger.ledger import Ledger
from pipeline.clock import SystemClock
from pipeline.config.backends import Backend
from pipeline.config.logs import LokiClientConfig
from pipeline.config.remote_write import RemoteWriteConfig
from pipeline.telemetry.metrics import Telemetry
from tests.support.receiver import Receiver, bodies
from tests.unit.agents.builders import names
from topics import compression, write_request
from topics.labels import make
from topics.record import Kind, RecordHeaders


async def never(letter: object) -> None:
    raise AssertionError("nothing is dead here")


def delivery(url: str, ledger: Ledger, **queue) -> Delivery:
    settings = RemoteWriteConfig.model_validate({"url": url, "name": "b", "queue_config": queue})
    clock = SystemClock()
    return build(
        Backend("b", Kind.METRICS, settings),
        {},
        dead_letters=DeadLetters(never, "b", clock),
        ledger=ledger,
        on_success=lambda lane: None,
        telemetry=Telemetry(),
        clock=clock,
    )


def aged(*ages_s: float) -> Record:
    """One series with samples so many seconds old, oldest first."""
    now_ms = int(time.time() * 1000)
    stamps = [now_ms - int(age * 1000) for age in ages_s]
    fields = b"".join(write_request.sample_field(age, at) for age, at in zip(ages_s, stamps, strict=True))
    body = write_request.series(write_request.encode_labels(make({"__name__": "m"})), fields)
    headers = RecordHeaders(Kind.METRICS, 1, len(ages_s), min(stamps), max(stamps), "p", 0)
    return Record("headrace.metrics", 3, int(ages_s[0]), None, compression.compress(body), dict(headers.encode()), 0.0)


async def test_samples_beyond_the_age_limit_are_ruled_out_by_its_name_and_the_young_ones_go(tmp_path):
    ledger = Ledger(Telemetry(), "b")
    settled: list[int] = []
    async with Receiver(tmp_path / "journal") as receiver:
        one = delivery(receiver.url, ledger, sample_age_limit="10m")
        await one.open()
        records = [aged(9000, 5000), aged(7000, 300, 200), aged(100)]
        await one.process(Lane(3, SystemClock()), records, lambda record: settled.append(record.offset))
        await one.close()
        sent = [name for body in bodies(receiver.journal) for name in names(body)]
    assert sent == ["m=300", "m=200", "m=100"]
    assert settled == [9000, 7000, 100]
    summary = ledger.summary()
    assert (summary["in"], summary["delivered"], summary["ruled_out"]) == (6, 3, {AGE_LIMIT: 3})
    assert summary["difference"] == 0


def test_a_record_of_young_samples_is_not_even_decoded():
    limit = AgeLimit(Kind.METRICS, 600, SystemClock())
    young = aged(10, 5)
    assert limit.young(young) is young


@pytest.mark.parametrize(
    ("queue", "items", "split", "least", "most"),
    [
        ({}, 50_000, False, 1, 1024),
        ({"max_samples_per_send": 500, "max_shards": 7, "min_shards": 2}, 500, True, 2, 7),
        ({"capacity": 900}, 900, False, 1, 1024),
        ({"capacity": 900, "max_samples_per_send": 2000}, 900, True, 1, 1024),
    ],
)
def test_queue_config_bounds_requests(queue, items, split, least, most):
    found = delivery("http://127.0.0.1:1/w", Ledger(Telemetry(), "b"), **queue)
    assert (found.size.limits.max_items, found.size.limits.split) == (items, split)
    pace = found._deliverer._pace
    assert (pace.least, pace.most) == (least, most)


@pytest.mark.parametrize(
    ("more", "longest_s"),
    [
        ({}, 5.0),
        ({"recovery": "fresh_first", "profile": "victoriametrics"}, 1.0),
        ({"recovery": "fresh_first", "profile": "victoriametrics", "queue_config": {"max_backoff": "20s"}}, 20.0),
    ],
)
def test_with_fresh_first_a_backend_is_tried_more_often_unless_configured(more, longest_s):
    settings = RemoteWriteConfig.model_validate({"url": "http://h/", "name": "b"} | more)
    backoff = deliveries._backoff(settings)()
    assert max(backoff.next() for _ in range(200)) <= longest_s
    assert backoff._max_s == longest_s


def test_loki_too():
    settings = {"url": "http://h/", "name": "l"}
    fresh = {"recovery": "fresh_first", "out_of_order_time_window": "1h"}
    assert deliveries._backoff(LokiClientConfig.model_validate(settings))()._max_s == 30.0
    assert deliveries._backoff(LokiClientConfig.model_validate(settings | fresh))()._max_s == 1.0
