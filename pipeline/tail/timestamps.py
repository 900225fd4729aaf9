"""RFC 3339 timestamps with up to nine decimals, to Unix nanoseconds: what container runtimes write before each line.

containerd writes UTC and drops trailing zeros (`2026-01-02T03:04:05.12Z`); CRI-O writes nine decimals and an offset.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,}))?(?:(Z)|([+-])(\d\d):(\d\d))", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1_000_000_000


def parse_ns(stamp: bytes) -> int | None:
    """Unix nanoseconds, None when it is no timestamp. Decimals past the ninth are cut off, as Go does."""
    match = _FORM.fullmatch(stamp)
    if match is None:
        return None
    seconds = parse_second(stamp[:19])
    if seconds is None:
        return None
    decimals, zulu, sign, hours, minutes = match.group(7, 8, 9, 10, 11)
    nanos = int(decimals[:9].ljust(9, b"0")) if decimals else 0
    if zulu is None:
        offset_s = int(hours) * 3600 + int(minutes) * 60
        seconds -= offset_s if sign == b"+" else -offset_s
    return seconds * _NS + nanos


@functools.lru_cache(maxsize=256)
def parse_second(stamp: bytes) -> int | None:
    """Unix seconds of `2026-01-02T03:04:05`, taken as UTC; None when there is no such moment."""
    try:
        text = stamp.decode("ascii")
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1)
