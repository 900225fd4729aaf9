"""`headrace kafka`: the broker alone."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka


def answers(brokers: str) -> bool:
    host, _, port = brokers.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_a_broker_alone_runs_comes_back_and_stops_with_its_parent(tmp_path: Path) -> None:
    with Headrace("kafka", f"--storage.path={tmp_path}", "--kafka.port=0") as kafka:
        kafka.wait_ready()
        first = kafka.status()
        assert answers(first["brokers"])
        os.kill(first["broker_pid"], signal.SIGKILL)
        wait_for("its return", lambda: kafka.status().get("restarts") == 1 and kafka.get("/-/ready")[0] == 200)
        assert kafka.status()["brokers"] == first["brokers"]
        assert answers(first["brokers"])
        broker = psutil.Process(kafka.status()["broker_pid"])
        assert kafka.stop() == 0
        assert not broker.is_running()


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Headrace("kafka", f"--storage.path={tmp_path}", f"--kafka.port={port}") as kafka:
            assert kafka.wait() == 1
            assert f"port {port} on 127.0.0.1 is taken" in kafka.log_text
            assert "Traceback" not in kafka.log_text
