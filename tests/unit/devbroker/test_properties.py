"""server.properties: loopback only, one copy of everything, and paths that Java reads as they are."""

from __future__ import annotations

from pathlib import Path

from pipeline.devbroker.properties import server_properties


def _lines(**overrides: str) -> dict[str, str]:
    text = server_properties(1234, 1235, Path("/data"), {k.replace("_", "."): v for k, v in overrides.items()})
    return dict(line.split("=", 1) for line in text.splitlines())


def test_it_listens_on_loopback_only():
    lines = _lines()
    assert lines["listeners"] == "PLAINTEXT://127.0.0.1:1234,CONTROLLER://127.0.0.1:1235"
    assert lines["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1234"
    assert lines["controller.quorum.voters"] == "1@127.0.0.1:1235"


def test_internal_topics_have_one_copy():
    lines = _lines()
    for key in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        assert lines[f"{key}.replication.factor"] == "1"


def test_overrides_win():
    assert _lines(background_threads="9")["background.threads"] == "9"


def test_odd_folders_are_escaped_as_java_reads_properties():
    text = server_properties(1, 2, Path("/tmp/a b\\c/ü😀"), {})
    assert "log.dirs=/tmp/a b\\\\c/\\u00fc\\ud83d\\ude00\n" in text
