"""Positions files that are taken over: Promtail's by path, our own by content, damaged ones refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import promtail_positions
from pipeline.roles.tail_imports import imports
from pipeline.tail.identity import ANY_JOB, FileKey, Fingerprint
from pipeline.tail.positions import Position
from pipeline.tail.positions_file import PositionStore
from topics.errors import PositionsError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "a.log"
    file.write_text("one\ntwo\n")
    return file


def promtail(folder: Path, text: str) -> Path:
    file = folder / "positions.yaml"
    file.write_text(text)
    return file


def test_promtails_offsets_become_positions_for_every_job(tmp_path: Path, log: Path) -> None:
    file = promtail(tmp_path, f'positions:\n  {log}: "4"\n  cursor-journal: s=abc\n  {tmp_path}/gone.log: "9"\n')
    (found,) = imports([file, file], ignore_damage=False)
    status = log.stat()
    (position,) = found.positions
    assert found.what == str(file)
    assert position.key == FileKey(ANY_JOB, status.st_dev, status.st_ino)
    assert (position.path, position.offset, position.size) == (str(log), 4, 8)
    assert position.fingerprint.size == 8


def test_a_file_that_is_shorter_than_promtail_read_is_another_one(
    tmp_path: Path, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (found,) = imports([promtail(tmp_path, f'positions:\n  {log}: "9"\n')], ignore_damage=False)
    assert found.positions == ()
    assert "read up to byte 9 by Promtail and has 8 now" in caplog.text


def test_our_own_file_is_named_by_its_content(tmp_path: Path) -> None:
    position = Position(FileKey("job", 1, 2), "/a", "/a", Fingerprint(), 5, 5)
    store = PositionStore(tmp_path / "positions-logs.json").open()
    store.update([position])
    store.save()
    (first,) = imports([store.file], ignore_damage=False)
    store.update([Position(FileKey("job", 1, 2), "/a", "/a", Fingerprint(), 6, 6)])
    store.save()
    (second,) = imports([store.file], ignore_damage=False)
    store.close()
    assert first.positions == (position,)
    assert first.what != second.what
    assert first.what.startswith(f"{store.file} ")


def test_files_that_are_not_there_are_no_matter(tmp_path: Path) -> None:
    assert imports([tmp_path / "a", tmp_path / "b"], ignore_damage=False) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "it is empty"),
        ("positions: [1]\n", "no mapping"),
        ("other: 1\n", "no `positions`"),
        ("positions:\n  /a: many\n", "offset of /a is no number: 'many'"),
        ("positions: {", "no YAML"),
        ('{"version": 1, "checksum": "x", "positions": []}', "the checksum does not fit"),
        ('{"version": 1}', "it holds something else"),
    ],
)
def test_what_cannot_be_read_is_refused_unless_told_to_pass_over(
    tmp_path: Path, content: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = promtail(tmp_path, content)
    with pytest.raises(PositionsError, match="cannot be taken over") as caught:
        imports([file], ignore_damage=False)
    assert why in str(caught.value)
    assert imports([file], ignore_damage=True) == []
    assert why in caplog.text


def test_promtails_offsets_may_be_numbers_or_text() -> None:
    assert promtail_positions.parse(b"positions:\n  /a: 5\n  /b: '6'\n") == {"/a": 5, "/b": 6}
    assert promtail_positions.parse(b"positions:\n") == {}
