"""A real Envoy's access log, tailed, through a real Kafka, read back by LogQL from a real Loki."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.backends import Loki
    from tests.support.envoy import Envoy
    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.envoy, pytest.mark.loki, pytest.mark.slow]


class Pipeline:
    """`headrace run` with a Promtail file, on the test run's Kafka."""

    def __init__(self, folder: Path, kafka: KafkaPeer, prefix: str, loki: Loki) -> None:
        self._folder = folder
        self._flags = (f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={prefix}")
        self._loki = loki
        self._run: Headrace | None = None

    def start(self, path: str, *stages: dict[str, Any], **client: Any) -> Headrace:
        """Start it on the files of one glob; `client` adds to Promtail's client. Returns when it is ready."""
        own = self._folder / "headrace.yml"
        own.write_text(json.dumps({"topics": {"partitions": 4}}))
        promtail = self._folder / "promtail.yml"
        job = {
            "job_name": "envoy",
            "static_configs": [{"targets": ["localhost"], "labels": {"job": "envoy", "__path__": path}}],
            "pipeline_stages": list(stages),
        }
        backoff = {"min_period": "100ms", "max_period": "1s"}
        loki = {"url": self._loki.push_url, "backoff_config": backoff, **client}
        promtail.write_text(json.dumps({"clients": [loki], "scrape_configs": [job]}))
        self._run = Headrace(
            "run",
            f"--config.file={own}",
            f"--promtail.config-file={promtail}",
            f"--storage.path={self._folder / 'headrace'}",
            *self._flags,
        )
        return self._run.start().wait_ready()

    def close(self) -> None:
        """End it, however it is."""
        if self._run is not None:
            self._run.__exit__()


@pytest.fixture
def pipeline(tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str, loki: Loki) -> Iterator[Pipeline]:
    made = Pipeline(tmp_path, kafka, kafka_prefix, loki)
    yield made
    made.close()


def lines(loki: Loki, logql: str) -> list[tuple[int, str]]:
    """(nanoseconds, line) of everything that a query finds, in time."""
    return sorted((int(at), line) for found in loki.query_range(logql) for at, line in found["values"])


def at_least(loki: Loki, logql: str, count: int) -> Callable[[], list[tuple[int, str]] | None]:
    def found() -> list[tuple[int, str]] | None:
        stored = lines(loki, logql)
        return stored if len(stored) >= count else None

    return found


def written(envoy: Envoy, count: int) -> list[str]:
    """The access log, once it has this many lines."""
    wait_for(f"{count} lines of access log", lambda: len(envoy.access_log_lines()) >= count)
    return envoy.access_log.read_text().splitlines()


def test_access_log_lines_are_found_by_what_stands_in_them(pipeline: Pipeline, envoy: Envoy, loki: Loki) -> None:
    envoy.send("/ok", 20)
    running = pipeline.start(str(envoy.access_log), external_labels={"cluster": "tests"})
    envoy.send("/broken", 3)
    envoy.send("/missing", 2)
    everything = '{job="envoy", cluster="tests"}'
    found = wait_for("25 lines in Loki", at_least(loki, everything, 25))
    assert [line for _, line in found] == written(envoy, 25)

    broken = lines(loki, f'{everything} | json | response_code="503"')
    assert [json.loads(line)["path"] for _, line in broken] == ["/broken"] * 3
    (stream,) = loki.query_range(everything)
    assert stream["stream"] == {"cluster": "tests", "job": "envoy", "filename": str(envoy.access_log)}
    wait_for("an end of the lag, the markers of transactions notwithstanding", lambda: set(lags(running)) == {0.0})


def lags(running: Headrace) -> list[float]:
    """The agents' lag in records, by partition."""
    page = running.get("/metrics")[1]
    return [float(value) for value in re.findall(r"^headrace_agent_lag_records\{.*\} (\S+)$", page, re.MULTILINE)]


def test_lines_of_a_pod_come_with_their_own_time_and_whole(
    pipeline: Pipeline, envoy: Envoy, loki: Loki, tmp_path: Path
) -> None:
    """As the kubelet writes them: `time stream P|F text`, a long line in pieces."""
    envoy.send("/ok", 4)
    pod = tmp_path / "pods" / "shop_envoy-1_uid" / "envoy" / "0.log"
    pod.parent.mkdir(parents=True)
    began = time.time_ns() // 1000 * 1000
    expected = []
    with pod.open("w") as log:
        for number, line in enumerate(written(envoy, 4)):
            at = began + number * 1_000_003
            expected.append((at, line))
            for piece, flag in ((line[:100], "P"), (line[100:], "F")):
                log.write(f"{cri_time(at)} stdout {flag} {piece}\n")
    pipeline.start(str(tmp_path / "pods/*/*/*.log"), {"cri": {}})
    assert wait_for("4 lines in Loki", at_least(loki, '{job="envoy"}', 4)) == expected
    (stream,) = loki.query_range('{job="envoy"}')
    assert stream["stream"]["stream"] == "stdout"


def cri_time(at_ns: int) -> str:
    """RFC 3339 with all nine digits, as container runtimes write it."""
    seconds, rest = divmod(at_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def test_no_line_is_lost_or_repeated_over_a_rotation_and_an_outage_of_loki(
    pipeline: Pipeline, envoy: Envoy, loki: Loki
) -> None:
    pipeline.start(str(envoy.access_log))
    envoy.send("/ok", 30)
    wait_for("the first lines in Loki", at_least(loki, '{job="envoy"}', 1))
    loki.stop()
    envoy.send("/ok", 30)
    rotated = written(envoy, 60)
    envoy.access_log.rename(envoy.access_log.with_name("access.log.1"))
    assert envoy.request("/reopen_logs", method="POST")[0] == 200
    envoy.send("/ok", 30)
    expected = rotated + written(envoy, 30)
    loki.start()
    found = wait_for("90 lines in Loki", at_least(loki, '{job="envoy"}', 90))
    assert [line for _, line in found] == expected
