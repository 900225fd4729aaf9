"""The supervisor with children that do nothing but start, hang, fail and stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.process import Headrace, get, wait_for

if TYPE_CHECKING:
    from pathlib import Path

FAKE = (sys.executable, "-m", "tests.unit.roles.fake_run")
SCRAPE = "scrape_configs: [{job_name: a, static_configs: [{targets: ['127.0.0.1:1']}]}]\n"


def config_of(*backends: str, scrape: bool = True, extra: str = "") -> str:
    writes = "".join(f"\n- {{name: {name}, url: 'http://127.0.0.1:1/{name}'}}" for name in backends)
    return (SCRAPE if scrape else "") + (f"remote_write:{writes}\n" if backends else "") + extra


class Run(Headrace):
    def __init__(self, folder: Path, text: str, **env: str) -> None:
        self.config = folder / "f.yml"
        self.storage = folder / "data"
        self.config.write_text(text)
        super().__init__(
            f"--config.file={self.config}",
            f"--storage.path={self.storage}",
            "--kafka.brokers=127.0.0.1:1",
            argv=FAKE,
            env=env,
        )

    def pids(self) -> dict[str, int]:
        return {name: role["pid"] for name, role in self.status()["roles"].items()}


def is_new(run: Run, name: str, pid: int) -> bool:
    return run.pids().get(name) not in (pid, 0, None)


def test_every_role_of_the_configuration_runs(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works", "works-2")) as run:
        run.wait_ready()
        status = run.status()
        assert list(status["roles"]) == ["scraper", "agent:works", "agent:works-2"]
        assert status["role"] == "run"
        assert status["roles"]["agent:works"]["status"]["mode"] == "works"
        assert len(run.children()) == 3


def test_the_command_lines_name_files_and_no_secrets(tmp_path: Path) -> None:
    text = config_of() + "remote_write: [{name: works, url: 'http://me:hunter2@127.0.0.1:1/'}]\n"
    with Run(tmp_path, text) as run:
        run.wait_ready()
        lines = [" ".join(child.cmdline()) for child in run.children()]
        assert not any("hunter2" in line for line in lines)
        assert all(f"--config.file={run.config}" in line for line in lines)
        for path in ("/", "/api/v1/status", "/config", "/metrics"):
            assert "hunter2" not in run.get(path)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_in_the_order_of_the_flow(tmp_path: Path, number: int) -> None:
    with Run(tmp_path, config_of("works"), FAKE_KAFKA="embedded") as run:
        run.wait_ready()
        run.signal(number)
        assert run.wait() == 0
        log = run.log_text
        assert log.count("SIGTERM: draining") >= 2
        places = [
            log.index("scraper stopped"),
            log.index('component=agent:works msg="SIGTERM: draining'),
            log.index("agent:works stopped"),
            log.index("Kafka stops"),
            log.index("run stopped"),
        ]
        assert places == sorted(places)


@pytest.mark.slow
def test_a_child_that_hangs_is_cut_and_the_run_exits_0_in_time(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works", "works-stopped", "hangs")) as run:
        run.wait_ready()
        os.kill(run.pids()["agent:works-stopped"], signal.SIGSTOP)
        began = time.monotonic()
        assert run.stop() == 0
        assert time.monotonic() - began < 15, "the one promise in seconds"
        assert "agent:works-stopped is not drained" in run.log_text
        assert "agent:hangs is cut short" in run.log_text
        assert "run is cut short" not in run.log_text


def test_a_killed_child_is_started_again_and_the_page_says_why(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works")) as run:
        run.wait_ready()
        for name, pid in run.pids().items():
            psutil.Process(pid).kill()
            wait_for(f"a new {name}", partial(is_new, run, name, pid))
        run.wait_ready()
        role = run.status()["roles"]["scraper"]
        assert role["restarts"] == 1
        assert role["last_exit"] == "ended by SIGKILL"
        assert any("listening on" in line for line in role["log_tail"])
        assert 'headrace_run_child_restarts_total{role="run",child="scraper"} 1.0' in run.get("/metrics")[1]
        assert "ended by SIGKILL" in run.get("/")[1]


def test_a_child_that_always_fails_backs_off_and_the_others_work(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works", "fails")) as run:
        wait_for("three tries", lambda: run.status()["roles"].get("agent:fails", {}).get("restarts", 0) >= 3)
        ready, text = run.get("/-/ready")
        assert ready == 503
        assert "agent:fails: exit code 1; starts again" in text or "agent:fails: starting" in text
        assert "no broker answers at 127.0.0.1:1" in "".join(run.status()["roles"]["agent:fails"]["log_tail"])
        assert run.status()["roles"]["agent:works"]["restarts"] == 0
        assert run.stop() == 0


def test_no_process_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works"), FAKE_KAFKA="embedded") as run:
        run.wait_ready()
        children = run.children()
        assert len(children) == 3
        run.kill9()
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive
        run.start().wait_ready()  # and nothing that was left bars the next one


def test_a_reload_starts_what_is_new_drains_what_is_gone_and_reloads_the_rest(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works", "works-old")) as run:
        run.wait_ready()
        before = run.pids()
        run.config.write_text(config_of("works", "works-new"))
        assert run.post("/-/reload") == (200, "reloaded\n")
        run.wait_ready()
        after = run.pids()
        assert set(after) == {"scraper", "agent:works", "agent:works-new"}
        assert after["agent:works"] == before["agent:works"]
        assert "agent:works-old is no longer configured: draining" in run.log_text
        assert run.log_text.count("configuration reloaded") == 3, "scraper, agent and run"
        assert "works-new" in run.get("/config")[1]


def test_a_backend_that_changes_its_kind_is_another_process(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works")) as run:
        run.wait_ready()
        before = run.pids()
        logs = "logs: {clients: [{name: works, url: 'http://127.0.0.1:1/'}]}\n"
        run.config.write_text(config_of(extra=logs))
        assert run.post("/-/reload")[0] == 200
        run.wait_ready()
        assert run.pids()["agent:works"] != before["agent:works"]
        assert run.pids()["scraper"] == before["scraper"]
        run.config.write_text(config_of())
        assert run.post("/-/reload")[0] == 200
        assert "agent:works" not in run.get("/metrics")[1]


def test_pages_of_the_children_are_reached_through_the_run(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works")) as run:
        run.wait_ready()
        assert run.get("/targets") == (200, "targets")
        assert run.get("/roles/agent:works/-/ready") == (200, "headrace agent:works is ready.\n")
        assert run.get("/roles/nobody/config") == (404, "no nobody is configured\n")


def test_sighup_reloads_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works")) as run:
        run.wait_ready()
        before, text = run.pids(), run.get("/config")[1]
        run.config.write_text("scrape_configs: 7\nnonsense: 1\n")
        run.signal(signal.SIGHUP)
        run.wait_log("the old configuration stays in force")
        run.wait_log("nonsense")
        assert run.pids() == before
        assert run.get("/config")[1] == text
        assert run.get("/-/ready")[0] == 200
        assert run.log_text.count("configuration reloaded") == 0


def test_kafka_settings_cannot_change_by_reload(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works")) as run:
        run.wait_ready()
        run.config.write_text(config_of("works", extra="topics: {partitions: 3}\n"))
        code, text = run.post("/-/reload")
        assert code == 400
        assert "topics: cannot change while running (restart `headrace run` to apply it)" in text


def test_two_runs_on_one_folder_are_refused(tmp_path: Path) -> None:
    with Run(tmp_path, config_of()) as first:
        first.wait_ready()
        with Run(tmp_path, config_of()) as second:
            assert second.wait() == 1
            assert f"is in use by another headrace (process {first.pid})" in second.log_text
        first.kill9()
        with Run(tmp_path, config_of()) as third:
            third.wait_ready()


def test_a_broker_that_is_down_is_waited_for(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works"), FAKE_KAFKA="down") as run:
        run.wait_log("waiting for Kafka at 127.0.0.1:1: no broker answers")
        assert run.get("/-/ready")[0] == 503
        assert "waiting for Kafka at 127.0.0.1:1" in run.get("/-/ready")[1]
        assert run.get("/")[0] == 200
        assert run.post("/-/reload")[0] == 200
        assert run.stop() == 0


def test_a_kafka_that_goes_away_later_is_said_once_and_everything_stays_ready(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("misses", "misses-2")) as run:
        run.wait_ready()
        reason = "Kafka is away: no answer from k:9092 for 9 s"
        wait_for("the reason", lambda: run.status()["reason"] == reason)
        assert run.get("/-/ready") == (200, f"headrace run is ready; {reason}\n")
        assert run.status()["kafka"]["reason"] == reason
        assert reason in run.get("/")[1]
        assert run.status()["roles"]["agent:misses"]["ready"] is True


def test_topics_of_another_shape_end_the_run_with_both_numbers(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works"), FAKE_KAFKA="wrong") as run:
        assert run.wait() == 1
        assert "headrace.metrics has 3 partitions, 12 are configured" in run.log_text
        assert "Traceback" not in run.log_text


def test_the_embedded_kafka_is_started_again(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works"), FAKE_KAFKA="embedded") as run:
        run.wait_ready()
        kafka = run.status()["kafka"]
        psutil.Process(kafka["pid"]).kill()
        again = wait_for("Kafka", lambda: run.status()["kafka"] if run.status()["kafka"]["restarts"] else None)
        run.wait_ready()
        assert run.status()["kafka"]["pid"] not in (0, kafka["pid"])
        assert again["brokers"] == kafka["brokers"] == ["127.0.0.1:4711"]


def test_an_embedded_kafka_that_does_not_start_ends_the_run_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "no-kafka").touch()
    run = Run(tmp_path, config_of("works"), FAKE_KAFKA="embedded")
    run._env["PYTHONPATH"], run._cwd = str(sys.path[0] or "."), tmp_path
    with run:
        assert run.wait() == 1
        assert "it does not want to" in run.log_text


def test_metrics_of_all_roles_come_in_one_page(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works", "works-2")) as run:
        run.wait_ready()
        text = run.get("/metrics")[1]
        assert 'process_cpu_seconds_total{role="scraper"}' in text
        assert 'process_cpu_seconds_total{role="agent",backend="works-2"}' in text
        assert text.count("# TYPE process_cpu_seconds_total counter") == 1
        assert 'headrace_run_child_up{role="run",child="agent:works"} 1.0' in text


def test_a_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    with Run(tmp_path, config_of("works", "hangs"), FAKE_KAFKA="embedded") as run:
        run.wait_ready()
        children = run.children()
        run.terminate()
        run.wait_log('component=agent:hangs msg="SIGTERM: draining')
        run.signal(signal.SIGINT)
        assert run.wait() == 0
        assert "SIGINT again: not waiting for the rest" in run.log_text
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    """The pipe to a paused reader is full; pages, reload and SIGTERM are answered all the same."""
    run = Run(tmp_path, config_of("works", "fails"))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    address_file = tmp_path / "address"
    flags = ("--web.listen-address=127.0.0.1:0", f"--web.address-file={address_file}")
    process = subprocess.Popen([*run.argv[:-2], *flags], stdout=writer, stderr=writer)
    os.close(writer)
    try:
        wait_for("its address", lambda: address_file.exists() and address_file.read_text())
        url = f"http://{address_file.read_text().strip()}"
        wait_for("restarts that are logged", lambda: '"restarts":2' in get(f"{url}/api/v1/status")[1])
        assert get(f"{url}/-/reload", method="POST")[0] == 200
        process.terminate()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)
