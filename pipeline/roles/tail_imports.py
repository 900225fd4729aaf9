"""Positions files that are taken over into the control topic, once: Promtail's, and headrace's own."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from xxhash import xxh3_64_hexdigest

from pipeline.config import promtail_positions
from pipeline.tail import positions_file
from pipeline.tail.identity import ANY_JOB, FileKey, Fingerprint
from pipeline.tail.kafka_journal import Import
from pipeline.tail.positions import Position
from topics.errors import PositionsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)


def imports(files: Sequence[Path], *, ignore_damage: bool) -> list[Import]:
    """What these files hold, those that are not there left out.

    Promtail's is named by its path: it is taken over once, whatever it says later. Ours is named by its content, so
    that one which was written since, without transactions, is taken over again. Raises PositionsError for a damaged
    file, unless `ignore_damage`.
    """
    found: list[Import] = []
    for file in dict.fromkeys(files):
        try:
            one = _import(file)
        except ValueError as error:
            if not ignore_damage:
                raise PositionsError(
                    f"positions file {file} cannot be taken over: {error}. Restore it from a backup; or move it away, "
                    "and the files that it names are read from their beginning (positions.ignore_invalid_yaml: true "
                    "does so by itself)"
                ) from error
            log.error("positions file %s cannot be taken over: %s; it is left alone", file, error)
            continue
        if one is not None:
            found.append(one)
    return found


def _import(file: Path) -> Import | None:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    if content.lstrip().startswith(b"{"):
        try:
            ours = positions_file.parse(content)
        except (TypeError, KeyError) as error:
            raise ValueError(str(error)) from error
        return Import(f"{file} {xxh3_64_hexdigest(content)}", tuple(ours))
    if not content.strip():
        raise ValueError("it is empty")
    rows = promtail_positions.parse(content).items()
    return Import(str(file), tuple(one for path, offset in rows if (one := _promtail(path, offset)) is not None))


def _promtail(path: str, offset: int) -> Position | None:
    """Promtail remembers a path and how far; which file that is now, only a look can tell."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        log.info("%s of Promtail's positions: %s", path, error.strerror)
        return None
    try:
        now = os.fstat(fd)
        if now.st_size < offset:
            log.warning("%s was read up to byte %d by Promtail and has %d now: another file, read from its beginning",
                        path, offset, now.st_size)  # fmt: skip
            return None
        key = FileKey(ANY_JOB, now.st_dev, now.st_ino)
        return Position(key, path, os.path.realpath(path), Fingerprint.of(fd), offset, now.st_size)
    except OSError as error:
        log.warning("%s of Promtail's positions: %s", path, error.strerror)
        return None
    finally:
        os.close(fd)
