"""Positions of files that are gone."""

from __future__ import annotations

from pathlib import Path

from pipeline.tail.identity import FileKey, Fingerprint
from pipeline.tail.positions import Position
from pipeline.tail.pruning import PATIENCE_S, Patience, missing


def position(path: Path, inode: int) -> Position:
    return Position(FileKey("job", 1, inode), str(path), str(path), Fingerprint(), 0)


def test_a_file_is_missing_when_its_folder_does_not_list_its_inode(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("x")
    inode = log.stat().st_ino
    log.rename(tmp_path / "a.log.1")
    here, gone = position(log, inode), position(log, inode + 10**6)
    nowhere = position(tmp_path / "no" / "a.log", inode)
    assert missing([here, gone, nowhere]) == [gone, nowhere]


def test_it_is_forgotten_only_after_a_while_and_the_while_begins_anew_when_it_comes_back() -> None:
    pruner = Patience()
    one = position(Path("/a"), 1)
    assert pruner.due([one], 0) == []
    assert pruner.due([one], PATIENCE_S - 1) == []
    assert pruner.due([], PATIENCE_S) == []
    assert pruner.due([one], PATIENCE_S + 1) == []
    assert pruner.due([one], 2 * PATIENCE_S + 1) == [one]
