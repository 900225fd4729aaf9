"""The storage folder belongs to one run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.roles.storage import instance_id, locked
from tests.support.process import wait_for
from topics.errors import StorageInUse

if TYPE_CHECKING:
    from pathlib import Path


def test_the_folder_is_made_and_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        with locked(folder):
            assert folder.is_dir()


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with locked(tmp_path):
        said = f"--storage.path={tmp_path} is in use by another headrace \\(process {os.getpid()}\\)"
        with pytest.raises(StorageInUse, match=said), locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


def test_a_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    with locked(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
    try:
        # The kernel lets us go on a moment before it has closed the new program's descriptors.
        wait_for("the lock to be free", lambda: _is_free(tmp_path))
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def _is_free(folder: Path) -> bool:
    try:
        with locked(folder):
            return True
    except StorageInUse:
        return False


def test_a_folder_has_one_name_for_life(tmp_path: Path) -> None:
    first = instance_id(tmp_path / "a")
    assert re.fullmatch("run-[0-9a-f]{12}", first)
    assert instance_id(tmp_path / "a") == first
    assert instance_id(tmp_path / "b") != first


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageInUse, match="cannot be used: Not a directory"), locked(tmp_path / "file" / "x"):
        pass
