"""Keeps libraries from filling the log: what one says again and again is let through once in a while, with a count.

While Kafka is away its client says so about thirty times a second; our own parts say it once, and when it is over.
What follows from a lost connection, and what every first start of a consumer group brings, is not let through at all.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KINDS_LIMIT = 1000
# Of aiokafka: each follows from "Unable connect to node …", which passes because it holds the cause.
_AFTER_A_LOST_CONNECTION = (
    "NodeNotReadyError",
    "KafkaConnectionError",
    "Unable to update metadata from",
    "Marking the coordinator dead",
)
# The broker makes its topic of offsets, or reads it after a start; asked again 0.1 s later it answers.
_WHILE_A_GROUP_BEGINS = (
    "GroupCoordinatorNotAvailableError",
    "GroupLoadInProgressError",
    "NotCoordinatorForGroupError",
    "Heartbeat session expired",
)
_BEGINS_S = 15.0  # after the start of the process, and after a lost connection


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


class Expected(logging.Filter):
    """Holds back lines of aiokafka about what is expected: after a lost connection, and in the first seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._begun_s = now() + _BEGINS_S

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.name.partition(".")[0] != "aiokafka":
            return True
        text = record.getMessage()
        if text.startswith("Unable connect to node"):
            return True
        if any(words in text for words in _AFTER_A_LOST_CONNECTION):
            self._begun_s = self._now() + _BEGINS_S
            return False
        return self._now() >= self._begun_s or not any(words in text for words in _WHILE_A_GROUP_BEGINS)
