"""Keeps libraries from filling the log: what one says again and again is let through once in a while, with a count.

While Kafka is away its client says so about thirty times a second; our own parts say it once, and when it is over.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KINDS_LIMIT = 1000


class Repeats(logging.Filter):
    """Of the named loggers and those below, the same message template passes once in `every_s` seconds."""

    def __init__(self, names: Sequence[str], every_s: float = 30.0, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._roots = frozenset(names)
        self._every_s = every_s
        self._now = now
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; a line that passes says how many like it did not."""
        if record.name.partition(".")[0] not in self._roots:
            return True
        key = (record.name, str(record.msg))
        now = self._now()
        since, held_back = self._seen.get(key, (now - self._every_s, 0))
        if now - since < self._every_s:
            self._seen[key] = (since, held_back + 1)
            return False
        if len(self._seen) >= _KINDS_LIMIT:  # templates with their arguments written into them: forget and go on
            self._seen.clear()
        self._seen[key] = (now, 0)
        if held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back} more like it)", ()
        return True
