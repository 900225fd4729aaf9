"""What a real Loki does not take of a push: counted under its own reason and dead-lettered, and all the rest stored."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from agents.content.batch import Record
from agents.delivery.deadletter import DeadLetters
from agents.delivery.delivery import build
from agents.lanes.lane import Lane
from agents.ledger.ledger import Ledger
from pipeline.clock import SystemClock
from pipeline.config.backends import Backend
from pipeline.config.logs import LokiClientConfig
from pipeline.telemetry.metrics import Telemetry
from tests.support.process import wait_for
from topics import compression, labels, push_request
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from agents.delivery.deadletter import DeadLetter
    from tests.support.backends import Loki

pytestmark = [pytest.mark.loki, pytest.mark.slow]

HOUR_NS = 3600 * 10**9
LIMITS = {
    "max_line_size": "1KB",
    "max_line_size_truncate": False,
    "max_label_names_per_series": 5,
    "max_label_value_length": 100,
    "reject_old_samples_max_age": "24h",
    "creation_grace_period": "10m",
    "max_structured_metadata_entries_count": 3,
}


class Push:
    """Lines in the order written, each for a stream of its own or a common one."""

    def __init__(self) -> None:
        self.fields: list[bytes] = []
        self.good: list[str] = []
        self.now_ns = time.time_ns() - 60 * 10**9

    def add(self, line: str, *, ok: bool, age_ns: int = 0, metadata: int = 0, **more: str) -> None:
        self.now_ns += 1_000_000
        pairs = [(f"key{n}", "v") for n in range(metadata)]
        entry = push_request.encode_entry(self.now_ns - age_ns, line.encode(), pairs)
        stream = labels.text(labels.make({"job": "limits", **more}))
        self.fields.append(push_request.stream(stream.encode(), entry))
        if ok:
            self.good.append(line)

    def record(self) -> Record:
        items = len(self.fields)
        headers = RecordHeaders(Kind.LOGS, items, items, 1, 2, "test", 0)
        block = compression.compress(b"".join(self.fields))
        return Record("logs", 0, 0, None, block, dict(headers.encode()), time.time())


@pytest.mark.parametrize("wire", ["protobuf", "json"])
async def test_lines_that_loki_refuses_are_dead_lettered_and_the_rest_is_there(start_loki, wire):
    loki: Loki = start_loki(**LIMITS)
    push = Push()
    for number in range(40):
        push.add(f"good {number}", ok=True, metadata=number % 4)
        match number:
            case 3 | 4:
                push.add("x" * 2000, ok=False)
            case 9:
                push.add("many labels", ok=False, a="1", b="1", c="1", d="1", e="1")
            case 17:
                push.add("long value", ok=False, app="v" * 200)
            case 25:
                push.add("old", ok=False, age_ns=48 * HOUR_NS)
            case 26:
                push.add("of tomorrow", ok=False, age_ns=-24 * HOUR_NS)
            case 39:
                push.add("much metadata", ok=False, metadata=4)
    letters: list[DeadLetter] = []

    async def keep(letter: DeadLetter) -> None:
        letters.append(letter)

    clock, telemetry = SystemClock(), Telemetry()
    ledger = Ledger(telemetry, "loki")
    settings = LokiClientConfig.model_validate({"url": loki.push_url, "name": "loki", "format": wire})
    delivery = build(
        Backend("loki", Kind.LOGS, settings),
        {},
        dead_letters=DeadLetters(keep, "loki", clock),
        ledger=ledger,
        on_success=lambda lane: None,
        telemetry=telemetry,
        clock=clock,
    )
    settled: list[Record] = []
    await delivery.open()
    try:
        await delivery.process(Lane(0, clock), [push.record()], settled.append)
    finally:
        await delivery.close()

    reasons = {
        "line_too_long": 2,
        "max_label_names_per_series": 1,
        "label_value_too_long": 1,
        "greater_than_max_sample_age": 1,
        "too_far_in_future": 1,
        "structured_metadata_too_many": 1,
    }
    assert len(settled) == 1
    summary = ledger.summary()
    assert summary["dead_lettered"] == reasons
    assert summary["in"] == 47 == summary["delivered"] + 7
    assert summary["difference"] == summary["pending"] == 0
    assert Counter(dict(letter.headers)["dead.reason"].decode() for letter in letters) == reasons
    assert all(dict(letter.headers)["dead.status"] == b"400" for letter in letters)

    def stored() -> list[str] | None:
        values = [value for stream in loki.query_range('{job="limits"}') for value in stream["values"]]
        lines = [line for _, line in sorted(values, key=lambda value: int(value[0]))]
        return lines if len(lines) >= len(push.good) else None

    assert wait_for("the good lines", stored) == push.good
