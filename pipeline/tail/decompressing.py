"""Compressed bytes to plain ones, as they come: gzip, zlib, bzip2, Zstandard, told apart by their first bytes."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zstandard

MAGIC = {"gz": b"\x1f\x8b", "bz2": b"BZh", "zst": b"\x28\xb5\x2f\xfd", "z": b"\x78"}
"""By format, as configuration calls them: how a file of it begins."""

_MAKERS: dict[str, Callable[[], Any]] = {
    "gz": lambda: zlib.decompressobj(wbits=31),
    "z": zlib.decompressobj,
    "bz2": bz2.BZ2Decompressor,
    "zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
_BROKEN = (zlib.error, OSError, EOFError, ValueError, zstandard.ZstdError)


@dataclass(frozen=True, slots=True)
class Decompression:
    """What a job asks for. `format`: one of MAGIC, or empty for any; `initial_delay_s`: how long after a file was found
    its reading begins, so that whoever compresses it can finish.
    """

    format: str = ""
    initial_delay_s: float = 0.0


class Damaged(OSError):
    """The file cannot be decompressed further."""


def format_of(head: bytes, wanted: str = "") -> str:
    """The format of a file that begins so; empty for a plain one, or one that is not `wanted`."""
    for name, magic in MAGIC.items():
        if wanted in ("", name) and head.startswith(magic):
            # What zlib writes begins with an x, and so may a line: its first two bytes are a multiple of 31 too.
            if name == "z" and (len(head) < 2 or int.from_bytes(head[:2], "big") % 31):
                continue
            return name
    return ""


class Stream:
    """One file's bytes, decompressed; several members or frames in a row are one stream."""

    def __init__(self, format_: str) -> None:
        self._format = format_
        self._part = _MAKERS[format_]()

    def feed(self, data: bytes) -> bytes:
        """What these bytes become. Raises Damaged."""
        out: list[bytes] = []
        try:
            while data:
                if self._part.eof:
                    self._part = _MAKERS[self._format]()
                out.append(self._part.decompress(data))
                data = self._part.unused_data if self._part.eof else b""
        except _BROKEN as error:
            raise Damaged(5, f"damaged {self._format} data: {error}") from error
        return b"".join(out)
