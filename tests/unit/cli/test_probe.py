"""Probes of a running role."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from pipeline.cli.main import cli
from tests.support.process import Headrace

if TYPE_CHECKING:
    from pathlib import Path

FAKE = (sys.executable, "-m", "tests.unit.lifecycle.fake_role")


def probe(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["check", *args])
    return result.exit_code, result.output


@pytest.mark.parametrize(("text", "code"), [("waiting", 1), ("a: 1", 0)])
def test_ready_is_0_only_when_the_role_is(tmp_path: Path, text: str, code: int) -> None:
    (tmp_path / "f.yml").write_text(text)
    with Headrace("works", f"--config.file={tmp_path / 'f.yml'}", argv=FAKE) as role:
        assert probe("healthy", f"--url={role.web}") == (0, "headrace scraper is healthy.\n")
        said = "headrace scraper is ready.\n" if code == 0 else "headrace scraper is not ready: waiting for Kafka\n"
        assert probe("ready", f"--url={role.web}/") == (code, said)


def test_nobody_there_is_1() -> None:
    with socket.socket() as taken:  # bound, never listening
        taken.bind(("127.0.0.1", 0))
        code, text = probe("healthy", f"--url=http://127.0.0.1:{taken.getsockname()[1]}")
    assert code == 1
    assert "does not answer" in text


def test_a_url_of_another_kind_is_bad_usage() -> None:
    assert probe("healthy", "--url=file:///etc/passwd")[0] == 2
