"""The storage folder of a run: made, locked, and laid out."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from topics.errors import StorageInUse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises StorageInUse at once when another one holds it, or when it is no place.

    The lock is the kernel's (flock): it is gone when the process is, however it ended. Children do not inherit it.
    """
    lock = folder / "run.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageInUse(f"--storage.path={folder} cannot be used: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "another one"
            raise StorageInUse(
                f"--storage.path={folder} is in use by another `headrace run` (process {holder}): "
                "stop that one, or choose another folder"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
