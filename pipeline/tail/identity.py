"""Which file is this? Device, inode and a fingerprint of the head: a name may change hands, an inode number too.

The fingerprint is a hash of the first bytes, as many as there were, up to 1 KiB. It grows with a small file. A file
is the one remembered when device and inode agree and its head still hashes to the same: so a new file on an old
file's inode number is told apart, and so is a file that was emptied and written anew.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from xxhash import xxh3_128_hexdigest

HEAD_BYTES = 1024
ANY_JOB = ""
"""In the key of a position that was imported: another program's, which knows no jobs."""

_TELLING_BYTES = 64  # heads shorter than this are too common to prove identity by themselves


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hash of a file's first `size` bytes; size 0 fits every file."""

    size: int = 0
    digest: str = ""

    @classmethod
    def of(cls, fd: int, size: int = HEAD_BYTES) -> Fingerprint:
        """The fingerprint of an open file now, over at most `size` bytes. Raises OSError."""
        head = os.pread(fd, size, 0)
        return cls(len(head), xxh3_128_hexdigest(head)) if head else cls()

    def fits(self, fd: int) -> bool:
        """Whether the open file still begins with the bytes that were fingerprinted. Raises OSError."""
        return self.size == 0 or Fingerprint.of(fd, self.size) == self

    @property
    def telling(self) -> bool:
        """Whether there was enough of a head to tell files apart without the device number."""
        return self.size >= _TELLING_BYTES


@dataclass(frozen=True, slots=True)
class FileKey:
    """The name under which a position is kept: the job that reads the file, and the file's place on the disk."""

    job: str
    device: int
    inode: int
