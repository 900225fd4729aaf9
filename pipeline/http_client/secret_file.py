"""A secret in a file that somebody else rotates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.http_client.errors import CredentialsUnreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

Signature = tuple[tuple[int, int, int], ...]


def signature(paths: Sequence[Path], names: Sequence[str] = ()) -> Signature:
    """What changes when a file is replaced or rewritten: inode, size, time. Raises CredentialsUnreadable.

    `names`: how each path is called in an error, where that is not the path itself.
    """
    found = []
    for path, name in zip(paths, names or map(str, paths), strict=True):
        try:
            status = path.stat()
        except OSError as error:
            raise CredentialsUnreadable(f"{name}: {error.strerror}") from None
        found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


class SecretFile:
    """The content of a file without surrounding white space, read again when the file changed.

    Prometheus reads such files at every request; one `stat` a request gives the same freshness. `key` is the key of
    the configuration that names the file, for the reader of an error. `lines`: more than one line may be there.
    """

    def __init__(self, path: str | Path, key: str = "", *, lines: bool = False) -> None:
        self._path = Path(path)
        self._where = f"{key}: {path}" if key else str(path)
        self._lines = lines
        self._signature: Signature = ()
        self._content = ""

    def read(self) -> str:
        """The current content. Raises CredentialsUnreadable; the message names the file and never what is in it."""
        now = signature((self._path,), (self._where,))
        if now != self._signature:
            try:
                content = self._path.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise CredentialsUnreadable(f"{self._where}: {error.strerror}") from None
            except UnicodeDecodeError:
                raise CredentialsUnreadable(f"{self._where}: not UTF-8 text") from None
            if (
                not self._lines and not content.isprintable()
            ):  # it goes into a header, where a line break would begin another
                raise CredentialsUnreadable(f"{self._where}: holds more than one line, or control characters")
            self._content, self._signature = content, now
        return self._content
