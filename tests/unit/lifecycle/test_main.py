"""The process around a role: each test is one process with a role that does nothing but what the mode says."""

from __future__ import annotations

import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.process import Headrace, get, wait_for

if TYPE_CHECKING:
    from pathlib import Path

FAKE = (sys.executable, "-m", "tests.unit.lifecycle.fake_role")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "f.yml"
    path.write_text("first: 1\n")
    return path


def role(mode: str, config: Path, *flags: str) -> Headrace:
    return Headrace(mode, f"--config.file={config}", *flags, argv=FAKE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(config: Path, number: int) -> None:
    with role("works", config) as process:
        process.wait_ready()
        process.signal(number)
        assert process.wait() == 0
        assert "drained" in process.log_text


def test_a_drain_past_the_deadline_is_cut_and_exits_0(config: Path) -> None:
    with role("hangs", config, "--stop.deadline=0.2") as process:
        process.wait_ready()
        assert process.stop() == 0
        assert "cut short" in process.log_text
        assert "drained" not in process.log_text


def test_a_second_signal_cuts_the_drain(config: Path) -> None:
    with role("hangs", config, "--stop.deadline=600") as process:
        process.wait_ready()
        process.terminate()
        process.wait_log("draining\n")
        assert process.get("/-/healthy")[0] == 200, "the web server goes last"
        assert process.get("/-/ready") == (503, "headrace scraper is not ready: stopping\n")
        assert process.stop() == 0


def test_a_role_that_swallows_its_cancelling_is_ended_by_force(config: Path) -> None:
    with role("stubborn", config, "--stop.deadline=0.2") as process:
        process.wait_ready()
        assert process.stop() == 1
        assert "ended by force" in process.log_text


@pytest.mark.slow
def test_a_loop_that_is_stuck_is_ended_by_force(config: Path) -> None:
    with role("stuck", config, "--stop.deadline=0.2") as process:
        process.wait_ready()
        assert process.stop(timeout=30) == 1
        assert "ended by force" in process.log_text


def test_a_thread_that_hangs_does_not_hold_the_exit(config: Path) -> None:
    with role("resolver", config) as process:
        process.wait_ready()
        assert process.stop(timeout=30) == 0


def test_a_role_that_fails_exits_1_and_says_why_in_one_line(config: Path) -> None:
    with role("fails", config) as process:
        assert process.wait() == 1
        assert "no broker answers at 127.0.0.1:1" in process.log_text
        assert "Traceback" not in process.log_text


def test_a_bug_exits_1_with_its_traceback(config: Path) -> None:
    with role("bug", config) as process:
        assert process.wait() == 1
        assert "KeyError" in process.log_text
        assert "Traceback" in process.log_text


def test_a_role_that_ends_by_itself_exits_1(config: Path) -> None:
    with role("ends", config) as process:
        assert process.wait() == 1
        assert "ended by itself" in process.log_text


def test_sighup_reloads(config: Path) -> None:
    with role("works", config) as process:
        process.wait_ready()
        config.write_text("second: 2\n")
        process.signal(signal.SIGHUP)
        wait_for("the new configuration", lambda: process.get("/config") == (200, "second: 2\n"))
        assert 'headrace_config_reloads_total{result="success"} 1.0' in process.get("/metrics")[1]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_request_reloads(config: Path, method: str) -> None:
    with role("works", config) as process:
        config.write_text("second: 2\n")
        assert get(process.web + "/-/reload", method=method) == (200, "reloaded\n")
        assert process.get("/config") == (200, "second: 2\n")
        assert process.get("/-/reload")[0] == 405


@pytest.mark.parametrize(
    ("text", "said"), [("broken", "f.yml:2: key2: is wrong (mend it)"), ("crash", "reload crashed")]
)
def test_a_reload_that_fails_leaves_the_old_configuration_and_says_everything(
    config: Path, text: str, said: str
) -> None:
    with role("works", config) as process:
        process.wait_ready()
        config.write_text(text)
        code, answer = process.post("/-/reload")
        assert code == 400
        assert said in answer
        process.wait_log(said)
        assert process.get("/config") == (200, "first: 1\n")
        metrics = process.get("/metrics")[1]
        assert 'headrace_config_reloads_total{result="failure"} 1.0' in metrics
        assert "headrace_config_last_reload_successful 0.0" in metrics
        config.write_text("third: 3\n")
        assert process.post("/-/reload")[0] == 200
        assert "headrace_config_last_reload_successful 1.0" in process.get("/metrics")[1]


def test_ready_says_why_not(config: Path) -> None:
    config.write_text("waiting")
    with role("works", config) as process:
        assert process.get("/-/ready") == (503, "headrace scraper is not ready: waiting for Kafka\n")
        assert process.get("/-/healthy")[0] == 200


def test_the_common_pages(config: Path) -> None:
    with role("works", config) as process:
        status = process.status()
        assert status["role"] == "scraper"
        assert status["ready"] is True
        assert status["mode"] == "works"
        assert status["pid"] == process.pid
        assert process.get("/targets") == (200, "targets")
        index = process.get("/")[1]
        assert '<a href="/targets">' in index
        metrics = process.get("/metrics")[1]
        assert 'headrace_build_info{role="scraper",version="' in metrics
        assert "_created" not in metrics


def test_an_address_that_is_taken_exits_1_and_says_what_to_do(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with Headrace(
            "works", f"--config.file={config}", f"--web.listen-address={address}", argv=FAKE, web=False
        ) as process:
            assert process.wait() == 1
            assert f"cannot listen on {address}" in process.log_text
            assert "--web.listen-address" in process.log_text
            assert "Traceback" not in process.log_text
