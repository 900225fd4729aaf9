"""The storage folder of a run: made, locked, and laid out."""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.web.server import write_atomically
from topics.errors import StorageInUse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def instance_id(folder: Path) -> str:
    """A name for the run that lives in this folder, made once: ``run-`` and twelve hex digits.

    Agents are static members of their groups under it, so that one that was killed takes its partitions up at once
    instead of waiting for its own ghost's session to end. A copy of the folder must not run at the same time on the
    same brokers and prefix: Kafka would fence the older one off.
    """
    file = folder / "instance-id"
    try:
        known = file.read_text().strip()
    except FileNotFoundError:
        known = ""
    if not known:
        known = f"run-{uuid.uuid4().hex[:12]}"
        write_atomically(file, known + "\n")
    return known


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
                f"--storage.path={folder} is in use by another headrace (process {holder}): "
                "stop that one, or choose another folder"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
