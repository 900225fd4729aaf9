"""`headrace run` as users have it: a real Kafka, real targets, backends that live, die, hang and never were."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.support.numbered import NumberedTarget, Proof
from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kafka import KafkaPeer


pytestmark = pytest.mark.kafka


class Sink:
    """A backend: `headrace sink` with a journal."""

    def __init__(self, folder: Path, name: str, *flags: str) -> None:
        self.journal = folder / f"{name}.journal"
        self.process = Headrace("sink", f"--journal={self.journal}", *flags)

    def __enter__(self) -> Sink:
        self.process.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.process.__exit__(*error)

    @property
    def url(self) -> str:
        return f"{self.process.web}/api/v1/write"

    def proof(self, target: NumberedTarget) -> Proof:
        return target.proof(self.journal, job="numbers")


class Run(Headrace):
    """`headrace run` on a folder of its own."""

    def __init__(self, folder: Path, config: dict[str, Any], *flags: str) -> None:
        self.folder = folder
        self.config = folder / "headrace.yml"
        self.write(config)
        super().__init__("run", f"--config.file={self.config}", f"--storage.path={folder / 'data'}", *flags)

    def write(self, config: dict[str, Any]) -> None:
        self.config.write_text(json.dumps(config))  # JSON is YAML

    def role(self, name: str) -> Any:
        return self.status().get("roles", {}).get(name, {})

    def kafka_pid(self) -> int:
        return int(self.status()["kafka"]["pid"])


def config(target: NumberedTarget | None, **urls: str) -> dict[str, Any]:
    """A configuration with one target and a backend for each url."""
    made: dict[str, Any] = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "topics": {"partitions": 4},
        "remote_write": [
            {"name": name, "url": url, "queue_config": {"max_backoff": "1s"}} for name, url in urls.items()
        ],
    }
    if target is not None:
        made["scrape_configs"] = [{"job_name": "numbers", "static_configs": [{"targets": [target.address]}]}]
    return made


def reason_of(run: Run, name: str) -> Any:
    return run.role(f"agent:{name}").get("status", {}).get("state_reason")


def delivered(sink: Sink, target: NumberedTarget, upto: int) -> Proof | None:
    """The proof once number `upto` has reached the sink."""
    proof = sink.proof(target)
    return proof if proof.last >= upto else None


def wait_for_more(sink: Sink, target: NumberedTarget, more: int = 4) -> Proof:
    """Wait until the sink has what the target gives from now on."""
    upto = target.answers + more
    proof = wait_for(f"number {upto} at the sink", partial(delivered, sink, target, upto), timeout_s=120)
    assert isinstance(proof, Proof)
    return proof


@pytest.fixture
def target() -> Iterator[NumberedTarget]:
    with NumberedTarget() as made:
        yield made


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with Sink(tmp_path, "sink") as made:
        yield made


@pytest.fixture
def shared(kafka: KafkaPeer, kafka_prefix: str) -> tuple[str, str]:
    """Flags for a run on the broker that all tests share."""
    return f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={kafka_prefix}"


@pytest.fixture
def closed_url() -> Iterator[str]:
    """A backend that refuses every connection: its port is held, and nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/api/v1/write"


def test_samples_reach_the_backend_and_the_pages_tell(tmp_path: Path, target: NumberedTarget, sink: Sink) -> None:
    with Run(tmp_path, config(target, good=sink.url)) as run:
        run.wait_ready()
        proof = wait_for_more(sink, target)
        assert (proof.missing, proof.reordered) == (0, 0)
        status = run.status()
        assert status["kafka"]["embedded"] is True
        assert status["roles"]["scraper"]["status"]["targets"][0]["health"] == "up"
        assert status["roles"]["agent:good"]["status"]["ledger"]["delivered"] > 0
        metrics = run.get("/metrics")[1]
        assert 'role="scraper"' in metrics
        assert 'role="agent",backend="good"' in metrics
        for path in ("/", "/targets", "/config", "/-/healthy", "/roles/agent:good/-/ready"):
            assert run.get(path)[0] == 200, path
        assert run.stop(timeout=30) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_with_a_dead_and_a_hanging_backend_exits_0_within_15_s(
    tmp_path: Path, target: NumberedTarget, sink: Sink, closed_url: str, shared: tuple[str, str], number: int
) -> None:
    with Sink(tmp_path, "hangs", "--fail.hang") as hangs:
        urls = {"good": sink.url, "dead": closed_url, "hangs": hangs.url}
        with Run(tmp_path, config(target, **urls), *shared) as run:
            run.wait_ready()
            wait_for_more(sink, target)
            children = run.children()
            began = time.monotonic()
            run.signal(number)
            assert run.wait() == 0
            assert time.monotonic() - began < 15, "the one promise in seconds"
            _, alive = psutil.wait_procs(children, timeout=5)
            assert not alive


def test_a_run_whose_kafka_is_gone_exits_0_within_15_s(
    tmp_path: Path, target: NumberedTarget, sink: Sink, private_kafka: KafkaPeer
) -> None:
    with Run(tmp_path, config(target, good=sink.url), f"--kafka.brokers={private_kafka.brokers}") as run:
        run.wait_ready()
        wait_for_more(sink, target)
        private_kafka.kill9()
        away = partial(producer_says, run)
        wait_for("the scraper's word on it", lambda: away() not in ("", "connected"))
        began = time.monotonic()
        assert run.stop() == 0
        assert time.monotonic() - began < 15, "the one promise in seconds"


def producer_says(run: Run) -> Any:
    return run.role("scraper").get("status", {}).get("producer", {}).get("kafka", "")


def test_what_was_scraped_before_the_stop_is_delivered_after_the_next_start(
    tmp_path: Path, target: NumberedTarget, sink: Sink
) -> None:
    with Run(tmp_path, config(target, good=sink.url)) as run:
        run.wait_ready()
        wait_for_more(sink, target)
        assert run.stop() == 0
        given = target.answers
        run.start().wait_ready()
        proof = wait_for(f"number {given + 4}", partial(delivered, sink, target, given + 4))
        assert (proof.missing, proof.reordered, proof.first) == (0, 0, 1)


def test_backends_that_cannot_work_leave_the_run_up_and_say_why(
    tmp_path: Path, target: NumberedTarget, sink: Sink, closed_url: str, shared: tuple[str, str]
) -> None:
    urls = {
        "good": sink.url,
        "dead": closed_url,
        "nohost": "http://no-such-host.invalid/api/v1/write",
        "noscheme": "gopher://127.0.0.1/api/v1/write",
    }
    with Run(tmp_path, config(target, **urls), *shared) as run:
        run.wait_ready()
        wait_for_more(sink, target)
        for name, word in (("dead", "refused"), ("nohost", "no-such-host.invalid"), ("noscheme", "gopher")):
            reason = wait_for(f"why {name}", partial(reason_of, run, name))
            assert word in reason.lower(), (name, reason)
            assert reason in run.get("/")[1].replace("&#39;", "'").replace("&#34;", '"'), "it stands on the page"
            assert word in run.log_text.lower()
        assert run.get("/-/ready")[0] == 200
        assert all(run.role(f"agent:{name}")["restarts"] == 0 for name in urls)
        assert run.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["agent:good", "kafka"])
def test_a_killed_child_comes_back_and_nothing_is_lost(
    tmp_path: Path, target: NumberedTarget, sink: Sink, victim: str
) -> None:
    with Run(tmp_path, config(target, good=sink.url)) as run:
        run.wait_ready()
        wait_for_more(sink, target)
        pid = run.kafka_pid() if victim == "kafka" else run.role(victim)["pid"]
        os.kill(pid, signal.SIGKILL)
        proof = wait_for_more(sink, target, more=10)
        assert (proof.missing, proof.reordered, proof.first) == (0, 0, 1)
        run.wait_ready()
        now = run.status()["kafka"] if victim == "kafka" else run.role(victim)
        assert now["restarts"] == 1
        assert now["pid"] not in (0, pid)


@pytest.mark.slow
def test_a_killed_scraper_comes_back_and_what_was_acknowledged_is_delivered(
    tmp_path: Path, target: NumberedTarget, sink: Sink, shared: tuple[str, str]
) -> None:
    with Run(tmp_path, config(target, good=sink.url), *shared) as run:
        run.wait_ready()
        wait_for_more(sink, target)
        os.kill(run.role("scraper")["pid"], signal.SIGKILL)
        killed_at = target.answers
        wait_for("a scraper that scrapes again", lambda: target.answers > killed_at + 4)
        proof = wait_for_more(sink, target)
        assert proof.reordered == 0
        # What was scraped and not yet acknowledged by Kafka dies with the scraper: the last number or two.
        assert proof.missing <= 3 * 50
        assert run.role("scraper")["restarts"] == 1


def test_a_killed_tailer_comes_back_and_no_line_is_lost(tmp_path: Path, shared: tuple[str, str]) -> None:
    lines = tmp_path / "app.log"
    promtail = tmp_path / "promtail.yml"
    with Sink(tmp_path, "logs", "--sequence-key=seq") as logs:
        found = {"targets": ["localhost"], "labels": {"app": "demo", "__path__": str(lines)}}
        jobs = [{"job_name": "app", "static_configs": [found]}]
        clients = [{"name": "loki", "url": f"{logs.process.web}/loki/api/v1/push"}]
        promtail.write_text(json.dumps({"scrape_configs": jobs, "clients": clients}))
        flags = (f"--promtail.config-file={promtail}", *shared)
        with Run(tmp_path, config(None), *flags) as run, lines.open("a", buffering=1) as file:
            run.wait_ready()
            for number in range(3000):
                file.write(json.dumps({"seq": number, "text": "x" * 200}) + "\n")
                if number == 1000:
                    os.kill(run.role("tailer")["pid"], signal.SIGKILL)
                if number == 2000:
                    wait_for("the tailer's return", lambda: run.role("tailer").get("ready"))
            wait_for("every line", lambda: distinct_lines(logs) == 3000, timeout_s=120)
            report = logs.process.status()["logs"]
            assert (report["missing"], report["streams"]) == (0, 1)
            assert run.role("tailer")["restarts"] == 1
            assert run.stop() == 0


def distinct_lines(logs: Sink) -> int:
    report: dict[str, int] = logs.process.status().get("logs", {})
    return report.get("lines", 0) - report.get("sequence_duplicates", 0)


def test_no_process_is_left_when_the_run_is_killed_and_the_next_start_goes_on(
    tmp_path: Path, target: NumberedTarget, sink: Sink
) -> None:
    with Run(tmp_path, config(target, good=sink.url)) as run:
        run.wait_ready()
        wait_for_more(sink, target)
        children = run.children()
        assert len(children) == 3, "scraper, agent, Kafka"
        run.kill9()
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive
        run.start().wait_ready()
        proof = wait_for_more(sink, target)
        assert proof.reordered == 0


def test_a_reload_adds_and_removes_backends_and_a_broken_file_changes_nothing(
    tmp_path: Path, target: NumberedTarget, sink: Sink, shared: tuple[str, str]
) -> None:
    with Sink(tmp_path, "second") as second, Run(tmp_path, config(target, good=sink.url), *shared) as run:
        run.wait_ready()
        wait_for_more(sink, target)
        before = run.role("agent:good")["pid"]
        run.config.write_text("scrape_configs: [{job_name: a, static_configs: 7}]\nnonsense: 1\n")
        run.signal(signal.SIGHUP)
        run.wait_log("the old configuration stays in force")
        run.wait_log("nonsense")
        wait_for_more(sink, target)
        run.write(config(target, good=sink.url, second=second.url))
        run.signal(signal.SIGHUP)
        proof = wait_for_more(second, target)
        assert proof.missing == 0
        assert run.role("agent:good")["pid"] == before
        run.write(config(target, second=second.url))
        assert run.post("/-/reload") == (200, "reloaded\n")
        assert run.role("agent:good") == {}
        wait_for_more(second, target)
        assert (sink.proof(target).missing, sink.proof(target).reordered) == (0, 0)


def test_two_runs_on_one_folder_are_refused(tmp_path: Path, sink: Sink, shared: tuple[str, str]) -> None:
    with Run(tmp_path, config(None, good=sink.url), *shared) as first:
        first.wait_ready()
        with Run(tmp_path, config(None, good=sink.url), *shared) as second:
            assert second.wait() == 1
            assert "in use by another headrace" in second.log_text
        assert first.get("/-/ready")[0] == 200


def test_two_instances_share_a_broker_by_their_prefixes(tmp_path: Path, shared: tuple[str, str]) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with (
        NumberedTarget() as first_target,
        NumberedTarget() as second_target,
        Sink(folders[0], "sink") as first_sink,
        Sink(folders[1], "sink") as second_sink,
    ):
        brokers, prefix = shared
        one = Run(folders[0], config(first_target, a=first_sink.url), brokers, f"{prefix}one.")
        two = Run(folders[1], config(second_target, a=second_sink.url), brokers, f"{prefix}two.")
        with one, two:
            one.wait_ready()
            two.wait_ready()
            assert one.status()["kafka"]["embedded"] is False
            wait_for_more(first_sink, first_target)
            wait_for_more(second_sink, second_target)
            assert first_sink.proof(second_target).last == 0, "the other one's samples stay with the other one"
            assert one.stop() == 0
            wait_for_more(second_sink, second_target)


def test_topics_with_another_partition_count_are_refused_with_both_numbers(
    tmp_path: Path, sink: Sink, kafka_prefix: str, shared: tuple[str, str]
) -> None:
    made = config(None, a=sink.url)
    with Run(tmp_path, made, *shared) as run:
        run.wait_ready()
        assert run.stop() == 0
        run.write(made | {"topics": {"partitions": 6}})
        run.start()
        assert run.wait() == 1
        assert f"topic {kafka_prefix}metrics: partitions is 4, the configuration says 6" in run.log_text


def test_a_broker_that_is_down_at_the_start_is_waited_for(tmp_path: Path, sink: Sink) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with Run(tmp_path, config(None, a=sink.url), f"--kafka.brokers={address}") as run:
            run.wait_log(f"waiting for Kafka at {address}")
            code, text = run.get("/-/ready")
            assert code == 503
            assert address in text
            assert run.stop() == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scrape_configs: 7\nnonsense: 1\n", ["scrape_configs", "nonsense"]),
        ("remote_write: [{url: 'http://x/', url: 'http://y/'}]\n", ["url"]),
        ("a: [\n", ["headrace.yml"]),
    ],
)
def test_a_bad_configuration_exits_2_and_lists_everything(tmp_path: Path, text: str, words: list[str]) -> None:
    with Run(tmp_path, {}) as run:
        pass
    run.config.write_text(text)
    with run:
        assert run.wait() == 2
        for word in words:
            assert word in run.log_text
        assert "Traceback" not in run.log_text
        assert not (tmp_path / "data").exists() or not list((tmp_path / "data").glob("kafka/*"))


def test_a_missing_configuration_file_exits_2(tmp_path: Path) -> None:
    with Headrace("run", f"--config.file={tmp_path / 'none.yml'}") as run:
        assert run.wait() == 2
        assert "none.yml" in run.log_text
