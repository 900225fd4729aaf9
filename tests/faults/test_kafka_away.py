"""Kafka itself stopped for twenty seconds under whole roles: sources go on, agents wait, nothing is lost."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.numbered import NumberedTarget, Proof
from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

OUTAGE_S = 20.0


def _sink(folder: Path, name: str, *flags: str) -> Headrace:
    return Headrace("sink", f"--journal={folder / name}.journal", *flags)


def _run(folder: Path, target: NumberedTarget, metrics: Headrace, brokers: str, *flags: str) -> Headrace:
    config = folder / "headrace.yml"
    config.write_text(
        json.dumps(
            {  # JSON is YAML
                "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
                "topics": {"partitions": 4},
                "scrape_configs": [{"job_name": "numbers", "static_configs": [{"targets": [target.address]}]}],
                "remote_write": [{"name": "metrics", "url": f"{metrics.web}/api/v1/write"}],
            }
        )
    )
    storage = f"--storage.path={folder / 'data'}"
    return Headrace("run", f"--config.file={config}", storage, f"--kafka.brokers={brokers}", *flags)


def _delivered(folder: Path, target: NumberedTarget, upto: int) -> Proof | None:
    proof = target.proof(folder / "metrics.journal", job="numbers")
    return proof if proof.last >= upto else None


def _producer(run: Headrace, role: str) -> dict[str, Any]:
    status: dict[str, Any] = run.status()["roles"][role].get("status", {})
    return status.get("producer", {})


def test_samples_and_lines_all_arrive_in_order_after_twenty_seconds_without_kafka(
    tmp_path: Path, private_kafka: KafkaPeer
) -> None:
    file = tmp_path / "app.log"
    promtail = tmp_path / "promtail.yml"
    with (
        NumberedTarget() as target,
        _sink(tmp_path, "metrics") as metrics,
        _sink(tmp_path, "logs", "--sequence-key=seq") as logs,
        file.open("a", buffering=1) as lines,
    ):
        labels = {"app": "demo", "__path__": str(file)}
        promtail.write_text(
            json.dumps(
                {
                    "scrape_configs": [
                        {"job_name": "app", "static_configs": [{"targets": ["localhost"], "labels": labels}]}
                    ],
                    "clients": [{"name": "logs", "url": f"{logs.web}/loki/api/v1/push"}],
                }
            )
        )
        with _run(tmp_path, target, metrics, private_kafka.brokers, f"--promtail.config-file={promtail}") as run:
            run.wait_ready()
            number = 0

            def write(count: int) -> None:
                nonlocal number
                for _ in range(count):
                    lines.write(json.dumps({"seq": number, "text": "x" * 100}) + "\n")
                    number += 1

            write(500)
            wait_for("the first samples", partial(_delivered, tmp_path, target, 4), timeout_s=120)
            private_kafka.kill9()
            began, given = time.monotonic(), target.answers
            while time.monotonic() - began < OUTAGE_S:
                write(10)
                time.sleep(0.1)
            assert target.answers > given + OUTAGE_S, "the scraper goes on"
            assert "no acknowledgement" in _producer(run, "scraper")["kafka"]
            assert _producer(run, "scraper")["spool_bytes"] > 0
            private_kafka.start()
            write(500)
            proof = wait_for(
                "the newest samples", partial(_delivered, tmp_path, target, target.answers + 4), timeout_s=120
            )
            assert (proof.missing, proof.reordered, proof.first) == (0, 0, 1)
            assert _producer(run, "scraper")["dropped_samples"] == {}

            def report() -> dict[str, Any]:
                found: dict[str, Any] = logs.status().get("logs", {})
                return found

            wait_for(
                "every line",
                lambda: report().get("lines", 0) - report().get("sequence_duplicates", 0) == number,
                timeout_s=120,
            )
            assert report()["missing"] == 0
            assert len(run.log_text) < 200_000, "an absent Kafka does not fill the log"
            assert run.stop(timeout=30) == 0


def test_a_run_whose_kafka_is_away_still_ends_in_time(tmp_path: Path, private_kafka: KafkaPeer) -> None:
    with (
        NumberedTarget() as target,
        _sink(tmp_path, "metrics") as metrics,
        _run(tmp_path, target, metrics, private_kafka.brokers) as run,
    ):
        run.wait_ready()
        wait_for("the first samples", partial(_delivered, tmp_path, target, 2), timeout_s=120)
        private_kafka.kill9()
        given = target.answers
        wait_for("scrapes into the spool", lambda: target.answers > given + 2)
        began = time.monotonic()
        run.terminate()
        assert run.wait(60) == 0
        assert time.monotonic() - began < 15, "the one promise in seconds"
        assert "were not acknowledged by Kafka" in run.log_text, "what was lost by that is said"
