"""The positions file: durable, checked, locked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.tail.identity import FileKey, Fingerprint
from pipeline.tail.positions import Position
from pipeline.tail.positions_file import PositionStore
from topics.errors import PositionsError

ONE = Position(FileKey("job", 5, 77), "/a", "/real/a", Fingerprint(10, "ab"), 100, 120)
TWO = Position(FileKey("job", 5, 78), "/b", "/real/b", Fingerprint(), 0, 0, partial_from=0, skipping=True, done=True)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "positions.json"
    store = PositionStore(file).open()
    store.update([ONE, TWO, dataclasses.replace(ONE, offset=110)])
    assert store.dirty
    store.save()
    assert not store.dirty
    store.close()
    again = PositionStore(file).open()
    assert list(again) == [dataclasses.replace(ONE, offset=110), TWO]
    assert again.of_path("job", "/b") == [TWO]
    again.forget(TWO.key)
    again.save()
    again.close()
    last = PositionStore(file).open()
    assert list(last) == [dataclasses.replace(ONE, offset=110)]
    last.close()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b'{"version":1,"checksum":"', "it is damaged"),
        (
            b"positions:\n  /var/log/a.log: '120'\n",
            "it is Promtail's, and is taken over where",
        ),
        (b'{"version":2,"checksum":"","positions":[]}', "it has version 2, this headrace writes version 1"),
        (b"[]", "it holds something else"),
    ],
)
def test_what_cannot_be_read_is_refused_and_left_alone(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "positions.json"
    file.write_bytes(content)
    with pytest.raises(PositionsError, match=why):
        PositionStore(file).open()
    assert file.read_bytes() == content


def test_a_changed_digit_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "positions.json"
    store = PositionStore(file).open()
    store.update([ONE])
    store.save()
    store.close()
    file.write_bytes(file.read_bytes().replace(b'"offset":100', b'"offset":900'))
    with pytest.raises(PositionsError, match="checksum"):
        PositionStore(file).open()


def test_a_damaged_file_is_set_aside_only_when_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "positions.json"
    file.write_bytes(b"torn")
    store = PositionStore(file, ignore_damage=True).open()
    assert list(store) == []
    store.close()
    (aside,) = tmp_path.glob("positions.json.damaged-*")
    assert aside.read_bytes() == b"torn"
    assert "every file is read from its beginning again" in caplog.text


def test_two_tailers_cannot_share_one_file(tmp_path: Path) -> None:
    first = PositionStore(tmp_path / "positions.json").open()
    with pytest.raises(PositionsError, match="in use by another tailer"):
        PositionStore(tmp_path / "positions.json").open()
    first.close()
    PositionStore(tmp_path / "positions.json").open().close()


def test_a_folder_that_is_none_is_an_error_with_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PositionsError, match="must be able to read and write"):
        PositionStore(tmp_path / "file" / "positions.json").open()
