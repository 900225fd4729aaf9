"""A backend that is away for a minute: nothing is lost, nothing comes out of order, and the other one never notices."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.numbered import NumberedTarget
from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.backends import Prometheus
    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.prometheus, pytest.mark.slow]

OUTAGE_S = 60.0
SERIES = 50


def numbers(prometheus: Prometheus) -> list[list[int]]:
    """The values of each of the target's series in the order in which Prometheus stores them; markers left out."""
    return [
        [int(float(text)) for _, text in samples if text != "NaN"]
        for samples in prometheus.series('numbered{job="numbers"}').values()
    ]


def ledger(run: Headrace, backend: str) -> dict[str, Any]:
    status = run.status().get("roles", {}).get(f"agent:{backend}", {}).get("status", {})
    return dict(status.get("ledger", {}))


def test_a_strict_prometheus_that_was_away_for_a_minute_has_every_sample_in_order(
    tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str, prometheus: Prometheus
) -> None:
    """Prometheus 2.42 without an out-of-order window refuses whatever comes late: order is proved by its own rule."""
    journal = tmp_path / "steady.journal"
    with NumberedTarget(SERIES) as target, Headrace("sink", f"--journal={journal}") as sink:
        file = tmp_path / "prometheus.yml"
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [{"job_name": "numbers", "static_configs": [{"targets": [target.address]}]}],
            "remote_write": [
                {"name": "away", "url": prometheus.write_url, "queue_config": {"max_backoff": "1s"}},
                {"name": "steady", "url": f"{sink.web}/api/v1/write"},
            ],
            "topics": {"partitions": 4},
        }
        file.write_text(json.dumps(config))
        with Headrace(
            "run",
            f"--config.file={file}",
            f"--storage.path={tmp_path / 'data'}",
            f"--kafka.brokers={kafka.brokers}",
            f"--kafka.prefix={kafka_prefix}",
        ) as run:
            run.wait_ready()
            wait_for("samples in Prometheus", lambda: len(numbers(prometheus)) == SERIES)

            prometheus.stop()
            ends = time.monotonic() + OUTAGE_S
            at_the_sink = target.proof(journal, job="numbers").last
            while time.monotonic() < ends:
                # The steady backend goes on all the time: each step waits for two more answers to arrive there.
                wanted = at_the_sink + 2
                at_the_sink = wait_for(
                    f"number {wanted} at the steady backend",
                    lambda wanted=wanted: _reached(target, journal, wanted),
                )
            assert ledger(run, "away")["pending"] > 0
            assert run.get("/-/ready")[0] == 200, "a dead backend is no reason to restart what works"
            prometheus.start()

            last = target.answers + 2
            wait_for(f"number {last} in Prometheus", lambda: min(map(max, numbers(prometheus))) >= last)
            stored = numbers(prometheus)
            counted = ledger(run, "away")

        assert len(stored) == SERIES
        for values in stored:
            assert values == list(range(values[0], values[-1] + 1)), "a number is missing, repeated or out of order"
        assert counted["rejected"] == {}
        assert counted["dead_lettered"] == {}
        assert counted["difference"] == 0
        proof = target.proof(journal, job="numbers")
        assert (proof.missing, proof.reordered, proof.repeated) == (0, 0, 0)


def _reached(target: NumberedTarget, journal: Path, wanted: int) -> int:
    last = target.proof(journal, job="numbers").last
    return last if last >= wanted else 0
