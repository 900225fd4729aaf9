"""Alerts made for Prometheus work on a real agent: its page, scraped while a backend is well, away, and refusing data.

Time is stretched: one third of a second of the agent's is half a minute of promtool's, timestamps included, so that an
alert that must last for fifteen minutes is seen in ten seconds. The expressions are those of Prometheus's mixin in
meaning and names: failed of all sent, and newest timestamp queued less newest sent.
"""

from __future__ import annotations

import asyncio
import math
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conformance.test_alerts import RULES
from tests.peers.catalogue import PROMTOOL
from tests.support.receiver import Answer, Receiver
from tests.support.rig import Feed, agent
from tests.support.server import require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.process import Headrace

pytestmark = [pytest.mark.kafka, pytest.mark.promtool, pytest.mark.slow]

TICK_S, STEP_S = 1 / 3, 30
STRETCH = STEP_S / TICK_S
P = "prometheus_remote_storage_"
TIMES = frozenset({f"{P}queue_highest_timestamp_seconds", f"{P}queue_highest_sent_timestamp_seconds"})
MIXIN = {
    "groups": [
        {
            "name": "mixin",
            "rules": [
                {
                    "alert": "PrometheusRemoteStorageFailures",
                    "expr": f"100 * rate({P}samples_failed_total[5m]) / "
                    f"(rate({P}samples_failed_total[5m]) + rate({P}samples_total[5m])) > 1",
                    "for": "15m",
                },
                {
                    "alert": "PrometheusRemoteWriteBehind",
                    "expr": f"max_over_time({P}queue_highest_timestamp_seconds[5m]) "
                    f"- max_over_time({P}queue_highest_sent_timestamp_seconds[5m]) > 120",
                    "for": "15m",
                },
                {
                    "alert": "PrometheusRemoteWriteDesiredShards",
                    "expr": f"max_over_time({P}shards_desired[5m]) > max_over_time({P}shards_max[5m])",
                    "for": "15m",
                },
            ],
        }
    ]
}


class Recorder:
    """Scrapes an agent at every tick, and keeps the values by series."""

    def __init__(self, process: Headrace, feed: Feed) -> None:
        self.process = process
        self.feed = feed
        self.ticks = 0
        self.series: dict[str, dict[int, float]] = {}
        self._began_s = time.monotonic()

    async def run(self, seconds: float) -> int:
        """Record for so long, while one record a second comes into each partition; the tick at the end."""
        for _ in range(math.ceil(seconds / TICK_S)):
            if self.ticks % 3 == 0:
                await self.feed.write(1)
            _, page = await asyncio.to_thread(self.process.get, "/metrics")
            self._keep(page)
            self.ticks += 1
            await asyncio.sleep(max(self._began_s + self.ticks * TICK_S - time.monotonic(), 0))
        return self.ticks - 1

    def _keep(self, page: str) -> None:
        for family in text_string_to_metric_families(page):
            for one in family.samples:
                if one.name.endswith("_bucket") or not one.name.startswith((P, "headrace_agent_")):
                    continue
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(one.labels.items()))
                self.series.setdefault(f"{one.name}{{{labels}}}", {})[self.ticks] = one.value

    def as_input(self) -> list[dict[str, str]]:
        """For promtool; timestamps are stretched as time is."""
        found = []
        for name, values in self.series.items():
            stretch = STRETCH if name.partition("{")[0] in TIMES else 1.0
            least = min((value for value in values.values() if value), default=0.0) if stretch > 1 else 0.0
            texts = [
                f"{max(values[tick] - least, 0) * stretch:.6g}" if tick in values else "_" for tick in range(self.ticks)
            ]
            found.append({"series": name, "values": " ".join(texts)})
        return found


def firing(folder: Path, recorder: Recorder, at: dict[str, int]) -> dict[str, set[str]]:
    """Which alerts fire at these ticks: promtool is told that none does, and says what it got instead."""
    (folder / "mixin.yml").write_text(yaml.safe_dump(MIXIN))
    found: dict[str, set[str]] = {}
    for name, tick in at.items():
        cases: dict[str, Any] = {
            "rule_files": ["mixin.yml", str(RULES)],
            "evaluation_interval": f"{STEP_S}s",
            "tests": [
                {
                    "interval": f"{STEP_S}s",
                    "input_series": recorder.as_input(),
                    "promql_expr_test": [
                        {"expr": f'count by (alertname) (ALERTS{{alertstate="firing",alertname="{alert}"}})',
                         "eval_time": f"{tick * STEP_S}s", "exp_samples": []}
                        for alert in ALERTS
                    ],
                }
            ],
        }  # fmt: skip
        (folder / "cases.yml").write_text(yaml.safe_dump(cases))
        argv = [require(PROMTOOL), "test", "rules", "cases.yml"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert "parse error" not in said, said
        found[name] = {alert for alert in ALERTS if f'{{alertname="{alert}"}} 1' in said}
        assert (done.returncode == 0) is (not found[name]), said
    return found


BEHIND, FAILURES, SHARDS = (rule["alert"] for rule in (MIXIN["groups"][0]["rules"][i] for i in (1, 0, 2)))  # type: ignore[index]
ALERTS = (BEHIND, FAILURES, SHARDS, "HeadraceDLQGrowing", "HeadraceLedgerOpen", "HeadraceRecordsMissing")


async def test_the_mixins_alerts_fire_for_an_agent_as_they_do_for_prometheus(tmp_path, kafka, kafka_prefix):
    """A minute: alerts must last their fifteen minutes, stretched, and the agent looks at Kafka every five seconds."""
    state = Answer(204)
    async with Feed(kafka.brokers, kafka_prefix) as feed, Receiver(tmp_path / "journal", lambda *_: state) as receiver:
        receiver.keep_seen = False
        process = agent(tmp_path, kafka.brokers, kafka_prefix, receiver.url, partitions=feed.partitions)
        with process:
            await asyncio.to_thread(process.wait_ready)
            recorder = Recorder(process, feed)
            well = await recorder.run(8)
            state.status = 503
            away = await recorder.run(26)
            state.status = 204
            again = await recorder.run(8)
            state.status, state.text = 400, "no such thing"
            refusing = await recorder.run(17)
            assert await asyncio.to_thread(process.stop) == 0
    found = firing(tmp_path, recorder, {"well": well, "away": away, "again": again, "refusing": refusing})
    assert found == {
        "well": set(),
        "away": {BEHIND},
        "again": set(),
        "refusing": {FAILURES, "HeadraceDLQGrowing"},
    }
    labels = f'remote_name="b",url="{receiver.url}"'
    newest, sent = (recorder.series[f"{name}{{{labels}}}"][away] for name in sorted(TIMES, key=len))
    assert newest - sent >= 15, "counted from what is in Kafka, not from what was read last"
    assert f"{P}samples_total{{{labels}}}" in recorder.series
