"""A plan: everything that a run is made of, and what happens in it when. Data; the same seed gives the same plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

METRICS_BACKENDS = ("strict", "plain")
BACKENDS = (*METRICS_BACKENDS, "logs")
SOURCE, BROKER = "source", "broker"
FRESH = "plain"
"""The backend that takes samples in any order."""
RULED_OUT_SERIES = 3
"""The series that the rules of `strict` drop, in each partition."""


class Kind(StrEnum):
    """What can happen. The value is what the table shows."""

    KILL_AGENT = "kill -9 of an agent"
    FREEZE_AGENT = "SIGSTOP, SIGCONT of an agent"
    TERM_AGENT = "SIGTERM of an agent"
    JOIN = "an agent joins"
    LEAVE = "an agent leaves"
    KILL_SOURCE = "kill -9 of the producer"
    FREEZE_SOURCE = "SIGSTOP, SIGCONT of the producer"
    TERM_SOURCE = "SIGTERM of the producer"
    KILL_BROKER = "kill -9 of the broker"
    FREEZE_BROKER = "SIGSTOP, SIGCONT of the broker"
    FULL_DISK = "the broker's disk is full"
    CUT_REQUEST = "cut in the middle of a request"
    CUT_ANSWER = "stored, cut in the middle of the answer"
    STATUS = "429, 500, 503"
    STATUS_WITH_TIME = "429, 500, 503 with Retry-After"
    LATE_ANSWER = "stored, answered after the timeout"
    STORED_BUT_FAILED = "stored, answered 500"
    SLOW_READS = "the body is read slowly"
    AWAY = "connections refused"
    CLOCK_STEP = "a clock steps"
    POISON = "poison in the topic"


OF_AGENTS = (Kind.KILL_AGENT, Kind.FREEZE_AGENT, Kind.TERM_AGENT)
OF_SOURCE = (Kind.KILL_SOURCE, Kind.FREEZE_SOURCE, Kind.TERM_SOURCE)
OF_BROKER = (Kind.KILL_BROKER, Kind.FREEZE_BROKER, Kind.FULL_DISK)
OF_BACKENDS = (
    Kind.CUT_REQUEST,
    Kind.CUT_ANSWER,
    Kind.STATUS,
    Kind.STATUS_WITH_TIME,
    Kind.LATE_ANSWER,
    Kind.STORED_BUT_FAILED,
    Kind.SLOW_READS,
    Kind.AWAY,
)


class Poison(StrEnum):
    """What somebody writes into our topics."""

    GARBAGE = "bytes that are no snappy block, no headers"
    GARBAGE_OURS = "bytes that are no snappy block, headers of ours"
    EMPTY = "no value"
    TRUNCATED_OURS = "a body cut in the middle of a series, headers of ours"
    WRONG_KIND = "a good body, headers of the other kind"
    NEWER = "a good body, headers of a newer version"
    MALFORMED = "a good body, a count that is no number"
    FOREIGN_JSON = "JSON, headers of somebody else"
    FOREIGN_GOOD = "a good body without headers"


@dataclass(frozen=True, slots=True)
class Event:
    """`at_s` after the load began. `target`: an agent (`strict/0`), a backend, `source`, `broker`, or a topic's kind.

    `lasts_s`: until it is over (a killed process is back, a backend is well again). `count`: how many requests it
    befalls, 0 for all of that time. `detail`: a status, a kind of poison. `amount`: Retry-After or a step, in seconds.
    """

    at_s: float
    kind: Kind
    target: str
    lasts_s: float = 0.0
    count: int = 0
    detail: str = ""
    amount: float = 0.0

    def __str__(self) -> str:
        words = [f"{self.at_s:5.2f} s  {self.kind:38s} {self.target:9s}"]
        if self.detail:
            words.append(self.detail)
        if self.amount:
            words.append(f"by {self.amount:+g} s" if self.kind is Kind.CLOCK_STEP else f"{self.amount:g} s")
        if self.count:
            words.append(f"{self.count} requests")
        if self.lasts_s:
            words.append(f"for {self.lasts_s:.2f} s")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `agents`: how many of each backend begin; `named`: whether they are static members of their groups.

    `fresh`: whether `plain` gets what is new first, and what it missed beside it.
    """

    seed: int
    load_s: float
    partitions: int
    series: int
    every_s: float
    agents: tuple[tuple[str, int], ...]
    named: tuple[tuple[str, bool], ...]
    send_items: int
    keeps_good: bool
    answers_after_s: float
    events: tuple[Event, ...]
    fresh: bool = False

    @property
    def breaks_broker(self) -> bool:
        """Whether it needs a broker of its own."""
        return any(event.kind in OF_BROKER for event in self.events)

    def __str__(self) -> str:
        agents = ", ".join(
            f"{count} {name}{' (named)' if dict(self.named)[name] else ''}" for name, count in self.agents
        )
        head = (
            f"seed {self.seed}: {self.load_s:.1f} s of load, {self.partitions} partitions of {self.series} series,"
            f" a round every {self.every_s:g} s; agents: {agents}; {self.send_items} items a request;"
            f" strict keeps the good part: {self.keeps_good}; answers after {self.answers_after_s:g} s"
            f"{f'; {FRESH} gets what is new first' if self.fresh else ''}"
        )
        return "\n".join((head, *(f"  {event}" for event in self.events)))
