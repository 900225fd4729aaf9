"""Every error that headrace raises on purpose.

::

    HeadraceError              says what, where and what to do; `retriable` tells whether trying again can help
    ├── ConfigError            the configuration is wrong; carries every problem found, not the first alone
    ├── BadRecord              a record in a topic that is not what its topic holds (dead-lettered, never retried)
    │   ├── CorruptBlock       the value is not a snappy block
    │   ├── TooLarge           the value would decompress to more than the limit
    │   └── CorruptMessage     the block does not hold the protobuf message of its topic
    ├── InvalidLabels          repeated or empty label names, or text that is not UTF-8
    ├── TopicMismatch          a topic exists, but not as configured (both values are named)
    ├── KafkaUnavailable       no broker answers (retriable)
    ├── BrokerFailed           the embedded Kafka did not start or ended; carries the end of its log
    ├── ListenFailed           an address that cannot be listened on: taken, forbidden, or not of this machine
    ├── StorageInUse           another process works in this storage folder
    ├── PositionsError         the tailer's positions file is damaged, foreign, in use or cannot be written
    ├── TransactionFailed      a Kafka transaction ended in an error; what is committed must be read (retriable)
    ├── TransactionsForbidden  the broker's rules do not let us write in transactions
    ├── IdentityStolen         another, younger tailer has taken this node's name
    ├── SpoolFull              the producer's bound in bytes is reached (retriable)
    ├── OwnershipLost          the scrapers' group cannot be joined, or speaks what we do not
    └── ScrapeFailed           a scrape that yields `up 0`; carries the reason shown on the target's page
        └── ParseError         the exposition text is malformed; carries line and column
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class HeadraceError(Exception):
    """Base of the tree. `retriable` is True where the same call may succeed later."""

    retriable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration.

    `line` counts from 1 (0: the file as a whole); `path` is the key path as written, e.g.
    ``scrape_configs[0].job_name``.
    """

    file: str
    line: int
    path: str
    message: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        path = f"{self.path}: " if self.path else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{where}{path}{self.message}{remedy}"


class ConfigError(HeadraceError):
    """The configuration is wrong. `problems` holds all that was found, in file order; never a secret's value."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class BadRecord(HeadraceError):
    """A record that is not what its topic holds. Never retried: it goes to the dead-letter topic."""


class CorruptBlock(BadRecord):
    """Not a snappy block."""


class TooLarge(BadRecord):
    """A block that says it would decompress to more than the limit."""


class CorruptMessage(BadRecord):
    """Not the protobuf message of its topic."""


class InvalidLabels(HeadraceError):
    """Repeated or empty label names, or text that is not UTF-8."""


class TopicMismatch(HeadraceError):
    """One or more topics exist, but not as configured. The message names each with both values and the remedy."""


class KafkaUnavailable(HeadraceError):
    """No broker answers at the addresses given."""

    retriable = True


class BrokerFailed(HeadraceError):
    """The embedded Kafka did not start, or ended by itself. The message carries the end of its log."""


class ListenFailed(HeadraceError):
    """An address that cannot be listened on: taken, forbidden, or not of this machine."""


class StorageInUse(HeadraceError):
    """Another process works in this storage folder. The message names the folder."""


class PositionsError(HeadraceError):
    """The tailer's positions file is damaged, of another format, in use by another process, or cannot be written."""


class SpoolFull(HeadraceError):
    """The producer holds as many bytes as it may; the fragments were not accepted, or were dropped to make room."""

    retriable = True


class OwnershipLost(HeadraceError):
    """The scrapers' group cannot be joined, or another member of it speaks what we do not understand."""


class ScrapeFailed(HeadraceError):
    """A scrape that yields `up 0`. The text is what the target's page shows."""

    retriable = True


class ParseError(ScrapeFailed):
    """A malformed exposition; `line` and `column` (in bytes) count from 1; 0: there is none."""

    def __init__(self, line: int, message: str, *, column: int = 0) -> None:
        self.line = line
        self.column = column
        where = f"line {line}, column {column}: " if column else f"line {line}: " if line else ""
        super().__init__(where + message)


class TransactionFailed(HeadraceError):
    """A Kafka transaction ended in an error: nobody knows whether it is committed. Open again, and read what is."""

    retriable = True


class TransactionsForbidden(HeadraceError):
    """The broker does not let us write in transactions. The message names the rights that are missing."""


class IdentityStolen(HeadraceError):
    """A younger tailer writes under our node's name. Two would fence each other in turn: the older one ends."""
