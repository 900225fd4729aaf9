"""The installer of the peers: what it says when it cannot, and that half a build is no build."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.peers import catalogue, install

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and a PATH of its own; returns the only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HEADRACE_PEERS", str(tmp_path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_machine_without_go_is_told_so_and_may_go_on(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install.main(["loki"]) == 0
    assert "MISSING, tests marked loki skip: Go is not installed" in capsys.readouterr().out


def test_in_ci_a_missing_peer_is_a_failure(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    assert install.main(["loki"]) == 1
    assert "CI is true, so a missing peer is a failure: loki" in capsys.readouterr().out


def test_a_build_is_done_once(machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(
        machine,
        "go",
        f'echo built >> {tmp_path}/log; while [ "$1" != -o ]; do shift; done; : > "$2"; /bin/chmod 755 "$2"',
    )
    assert install.main(["loki"]) == 0
    assert install.main(["loki"]) == 0
    assert (tmp_path / "log").read_text() == "built\n"
    assert str(catalogue.LOKI.target()) in capsys.readouterr().out


def test_a_build_that_fails_shows_why_and_leaves_nothing(
    machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(machine, "go", 'while [ "$1" != -o ]; do shift; done; : > "$2"; echo "no space left"; exit 3')
    assert install.main(["loki"]) == 0
    assert "go ended with code 3: no space left" in capsys.readouterr().out
    assert list((tmp_path / "cache").iterdir()) == []


def test_new_pins_are_a_new_build(machine: Path, tmp_path: Path) -> None:
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_bytes((catalogue.LOKI.folder / name).read_bytes())
    moved = catalogue.GoPeer("loki", "loki", catalogue.LOKI.version, tmp_path, catalogue.LOKI.package)
    assert moved.target() == catalogue.LOKI.target()
    with (tmp_path / "go.sum").open("a") as sums:
        sums.write("another v1.0.0 h1:sum=\n")
    assert moved.target() != catalogue.LOKI.target()


@pytest.mark.parametrize(
    ("programs", "user", "reason"),
    [
        ({}, 0, "this system has no apt"),
        ({"apt-get": "exit 0"}, 1000, "apt needs root, and sudo is not there or asks for a password"),
        ({"apt-get": "exit 0", "sudo": "exit 1"}, 1000, "apt needs root, and sudo is not there or asks for a password"),
        ({"apt-get": "echo 'no such release'; exit 100"}, 0, "apt-get ended with code 100: no such release"),
    ],
)
def test_a_package_that_cannot_be_had_says_why(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: dict[str, str],
    user: int,
    reason: str,
) -> None:
    for name, script in programs.items():
        program(machine, name, script)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    peer = catalogue.DebianPeer("thing", "thing", "1", "thing", "a-program-nobody-has")
    assert install.obtain(peer, install.Apt()).startswith(reason)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert install.main(["lokki"]) == 2
    assert "no such peer: lokki; there are prometheus, " in capsys.readouterr().out


def test_the_markers_of_the_peers_are_known_to_pytest(pytestconfig: pytest.Config) -> None:
    known = {line.split(":")[0] for line in pytestconfig.getini("markers")}
    assert {peer.marker for peer in catalogue.PEERS} <= known
