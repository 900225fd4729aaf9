"""Which real backends take part."""

from __future__ import annotations

from pathlib import Path

from pipeline.demo.backends import installed

HELP = "#!/bin/sh\necho '{words}' >&2\n"


def program(folder: Path, name: str, words: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(HELP.format(words=words))
    path.chmod(0o755)


def test_programs_that_can_receive_take_part(tmp_path, monkeypatch):
    program(tmp_path / "bin", "prometheus", "--web.enable-remote-write-receiver")
    program(tmp_path / "bin", "victoria-metrics", "-search.disableCache")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = installed(tmp_path)
    assert [backend.name for backend in found] == ["prometheus", "victoriametrics"]
    assert len({backend.port for backend in found}) == 2


def test_old_versions_and_other_programs_are_left_out(tmp_path, monkeypatch):
    program(tmp_path / "bin", "prometheus", "--storage.tsdb.path")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert installed(tmp_path) == []
