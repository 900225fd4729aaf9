"""The demo as a newcomer runs it: it ends by itself, proves its point, and says so when something was lost."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.support.process import Headrace, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.envoy, pytest.mark.slow]
PATIENCE_S = 300.0


def demo(*flags: str) -> Headrace:
    return Headrace("demo", "--fast", "--plain", *flags, web=False, env={"COLUMNS": "300"})


def test_the_demo_ends_with_0_when_nothing_was_lost(tmp_path):
    with demo("--storage.path", str(tmp_path)) as running:
        code = running.wait(PATIENCE_S)
        text = running.log_text
        assert code == 0, text
        assert "Nothing was lost" in text
        samples, lines = re.search(r"acknowledged ([\d,]+) samples and ([\d,]+) log lines", text).groups()  # type: ignore[union-attr]
        assert int(samples.replace(",", "")) > 5000
        assert int(lines.replace(",", "")) > 200
        assert text.count(f"it has {samples}; reorders 0") == 2, text
        assert f"it has {lines}; reorders 0" in text
        assert re.search(r"sink-b was stopped for 5 s: backlog of [\d,]+ samples, drained", text)
    for name in ("prometheus.yml", "promtail.yml", "targets.json", "logs/run.log"):
        assert (tmp_path / name).exists()


def test_the_demo_fails_and_names_what_is_missing_when_a_backend_lies():
    """The sink answers one request with 204 and throws it away: acknowledged by everybody, and gone."""
    with demo("--no-real-backends", "--sabotage=discard*1") as running:
        code = running.wait(PATIENCE_S)
        text = running.log_text
    assert code == 1, text
    assert "Nothing was lost" not in text
    assert re.search(r"LOST OR WRONG: sink-b: \d+ of \d+ that Kafka acknowledged are missing", text), text
    assert re.search(r"LOST OR WRONG: sink-a has \d+, sink-b has \d+ of .*__name__=", text), text


def test_the_demo_can_be_kept_running_and_still_tells_what_it_found():
    with demo("--no-real-backends", "--keep") as running:
        running.wait_log("kept running", PATIENCE_S)
        children = running.children()
        assert len(children) > 5
        running.signal(signal.SIGINT)
        assert running.wait(PATIENCE_S) == 0, running.log_text
        assert "Nothing was lost" in running.log_text
        wait_for("the end of all children", lambda: not any(child.is_running() for child in children))


def test_a_folder_with_an_earlier_showing_is_left_alone(tmp_path):
    (tmp_path / "something").touch()
    with demo("--storage.path", str(tmp_path)) as running:
        assert running.wait() == 1
        assert "is not empty" in running.log_text
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


def test_everything_ends_with_the_demo_when_it_is_interrupted():
    with demo("--no-real-backends") as running:
        running.wait_log("ready after", PATIENCE_S)
        children = running.children()
        assert len(children) > 5
        running.signal(signal.SIGINT)
        assert running.wait(PATIENCE_S) == 130, running.log_text
        wait_for("the end of all children", lambda: not any(child.is_running() for child in children))


def test_everything_ends_with_the_demo_when_it_is_killed():
    with demo("--no-real-backends") as running:
        running.wait_log("ready after", PATIENCE_S)
        children = running.children()
        os.kill(running.pid, signal.SIGKILL)
        wait_for("the end of all children", lambda: not any(child.is_running() for child in children))
