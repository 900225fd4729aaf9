"""Names that come, go and move in folders, told by the kernel (inotify) as it happens.

An aid, never the only way: what is not told, because a file system does not tell or the kernel's limits are reached,
is found by looking. Writes to files are not asked for: they would be told line by line.
"""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, NamedTuple

try:
    from inotify_simple import INotify, flags
except (ImportError, OSError):  # not Linux
    INotify = None

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)


class Notice(NamedTuple):
    """A name in a folder. `came`: it is there now, else it is not. `cookie`: one for both halves of a move, else 0."""

    path: str
    came: bool
    is_folder: bool
    cookie: int


class Watcher:
    """Watches folders; `fd` is readable when `read` has something. Not available: `fd` is -1, and nothing is told."""

    def __init__(self) -> None:
        self._folders: dict[int, str] = {}
        self._watches: dict[str, int] = {}
        self._inotify = None
        self.complete = False
        self._said = ""
        try:
            self._inotify = INotify(nonblocking=True) if INotify is not None else None
        except OSError as error:
            self._say(error)

    @property
    def fd(self) -> int:
        """To wait for."""
        return -1 if self._inotify is None else int(self._inotify.fileno())

    def watch(self, folders: Iterable[str]) -> None:
        """These folders from now on, and no others. `complete` tells whether all of them are watched."""
        wanted = set(folders)
        for folder in self._watches.keys() - wanted:
            self._drop(folder)
        results = [self.add(folder) for folder in wanted - self._watches.keys()]
        self.complete = self._inotify is not None and all(results)

    def add(self, folder: str) -> bool:
        """This one too. False: it cannot be watched; that is said once. A folder that is gone needs no watch."""
        if self._inotify is None:
            return False
        if folder in self._watches:
            return True
        mask = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.ONLYDIR | flags.EXCL_UNLINK
        try:
            watch = self._inotify.add_watch(folder, mask)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                self._say(error)
                return False
            return True
        self._watches[folder] = watch
        self._folders[watch] = folder
        return True

    def read(self) -> tuple[list[Notice], bool]:
        """What happened since the last call, in order. True: the kernel had more to tell than it could keep."""
        notices: list[Notice] = []
        overflow = False
        for event in self._inotify.read(timeout=0) if self._inotify is not None else ():
            if event.mask & flags.Q_OVERFLOW:
                overflow = True
            elif event.mask & flags.IGNORED:
                self._forget(event.wd)
            elif (folder := self._folders.get(event.wd)) is not None:
                came = bool(event.mask & (flags.CREATE | flags.MOVED_TO))
                is_folder = bool(event.mask & flags.ISDIR)
                notices.append(Notice(os.path.join(folder, event.name), came, is_folder, event.cookie))
        return notices, overflow

    def close(self) -> None:
        """No more."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _drop(self, folder: str) -> None:
        watch = self._watches[folder]
        self._forget(watch)
        try:
            if self._inotify is not None:
                self._inotify.rm_watch(watch)
        except OSError as error:  # the folder is gone, and its watch with it
            log.debug("watch on %s: %s", folder, error)

    def _forget(self, watch: int) -> None:
        folder = self._folders.pop(watch, None)
        if folder is not None:
            self._watches.pop(folder, None)

    def _say(self, error: OSError) -> None:
        why = error.strerror or str(error)
        if why != self._said:
            hint = "; raise fs.inotify.max_user_watches" if error.errno == errno.ENOSPC else ""
            log.warning("the kernel cannot tell of all new files (%s%s): they are found by looking", why, hint)
        self._said = why
