"""Blocks that were compressed beforehand are ordinary snappy to everybody else: real backends store what they say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.scrape.pressed_sheet import PressedSheet, press_sheet
from pipeline.scrape.sheet import Sheet
from tests.support.process import wait_for
from topics.compression import join_blocks
from topics.labels import make
from topics.write_request import encode_labels

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.support.backends import PromApi, Prometheus, VictoriaMetrics

SERIES = 4000
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def pressed() -> PressedSheet:
    series = [
        (
            number % 3,
            encode_labels(make({"__name__": "m", "n": str(number), "pod": f"pod-{number * 7919 % 1000:x}" * 9})),
        )
        for number in range(SERIES)
    ]
    steps: Generator[None, None, PressedSheet | None] = press_sheet(Sheet(series))
    while True:
        try:
            next(steps)
        except StopIteration as done:
            sheet: PressedSheet = done.value
            return sheet


def push_twice(backend: Prometheus | VictoriaMetrics) -> float:
    """Two scrapes a second apart, each as one request of joined blocks; the time of the second, in seconds."""
    sheet = pressed()
    now_ms = int(time.time() * 1000)
    for step, at_ms in enumerate((now_ms - 1000, now_ms)):
        blocks = [
            bytes(fragment.payload) for fragment in sheet.write(np.arange(SERIES, dtype=np.float64) + step, at_ms)
        ]
        status, answer = backend.request("/api/v1/write", body=join_blocks(blocks), headers=HEADERS, method="POST")
        assert status in (200, 204), answer
    return now_ms / 1000


def check(backend: PromApi, at_s: float) -> None:
    def ask(promql: str) -> float:
        result = backend.query(promql, at_s + 0.001)
        return float(result[0]["value"][1]) if result else -1.0

    wait_for("all samples", lambda: ask("sum(count_over_time(m[10s]))") == 2 * SERIES)
    assert ask("count(m)") == SERIES
    assert ask("sum(m)") == sum(range(SERIES)) + SERIES
    assert ask('m{n="1234"}') == 1235


@pytest.mark.prometheus3
def test_prometheus_3_reads_them(prometheus3: Prometheus) -> None:
    check(prometheus3, push_twice(prometheus3))


@pytest.mark.victoriametrics
def test_victoriametrics_reads_them(victoriametrics: VictoriaMetrics) -> None:
    check(victoriametrics, push_twice(victoriametrics))
