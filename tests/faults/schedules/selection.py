"""The schedules of `make test`: chosen by hand, so that each kind of event is there and all takes about a minute."""

from __future__ import annotations

from tests.faults.schedules.plan import BACKENDS, Event, Kind, Plan

_NAMED = tuple((name, True) for name in BACKENDS)


def _plan(
    number: int, agents: tuple[int, int, int], events: tuple[Event, ...], load_s: float = 5.0, *, fresh: bool = False
) -> Plan:
    return Plan(
        seed=number,
        load_s=load_s,
        partitions=3,
        series=5,
        every_s=0.05,
        agents=tuple(zip(BACKENDS, agents, strict=True)),
        named=_NAMED,
        send_items=200,
        keeps_good=bool(number % 2),
        answers_after_s=0.01,
        events=events,
        fresh=fresh,
    )


SHARED_BROKER = (
    _plan(
        -1,
        (2, 1, 1),
        (
            Event(0.5, Kind.KILL_AGENT, "strict/0", 0.3),
            Event(0.6, Kind.CUT_ANSWER, "plain", count=2),
            Event(0.7, Kind.STATUS, "logs", 1.0, detail="500"),
            Event(0.8, Kind.POISON, "metrics", count=2, detail="GARBAGE_OURS"),
            Event(0.9, Kind.POISON, "logs", count=1, detail="TRUNCATED_OURS"),
            Event(1.0, Kind.POISON, "metrics", count=1, detail="FOREIGN_GOOD"),
            Event(1.5, Kind.CLOCK_STEP, "all", amount=-3600.0),
            Event(1.6, Kind.KILL_SOURCE, "source", 0.3),
            Event(1.9, Kind.STATUS_WITH_TIME, "plain", 0.5, detail="429", amount=1.0),
            Event(2.2, Kind.KILL_AGENT, "plain/0", 0.2),
            Event(2.5, Kind.STORED_BUT_FAILED, "strict", count=2),
            Event(3.0, Kind.LEAVE, "strict", 0.5),
            Event(3.2, Kind.CUT_REQUEST, "logs", count=3),
            Event(3.5, Kind.CLOCK_STEP, "all", amount=86400.0),
        ),
    ),
    _plan(
        -2,
        (1, 1, 1),
        (
            Event(0.4, Kind.JOIN, "plain"),
            Event(0.5, Kind.FREEZE_AGENT, "logs/0", 1.5),
            Event(0.6, Kind.LATE_ANSWER, "strict", count=2),
            Event(0.7, Kind.POISON, "metrics", count=1, detail="GARBAGE"),
            Event(0.8, Kind.POISON, "metrics", count=1, detail="EMPTY"),
            Event(0.9, Kind.POISON, "metrics", count=1, detail="TRUNCATED_OURS"),
            Event(1.0, Kind.POISON, "logs", count=1, detail="WRONG_KIND"),
            Event(1.1, Kind.POISON, "metrics", count=1, detail="NEWER"),
            Event(1.2, Kind.POISON, "logs", count=1, detail="MALFORMED"),
            Event(1.3, Kind.POISON, "metrics", count=1, detail="FOREIGN_JSON"),
            Event(1.5, Kind.TERM_SOURCE, "source", 0.2),
            Event(1.8, Kind.SLOW_READS, "plain", 1.0),
            Event(2.2, Kind.TERM_AGENT, "strict/0", 0.2),
            Event(2.3, Kind.AWAY, "plain", 2.5),
            Event(3.0, Kind.FREEZE_SOURCE, "source", 0.7),
            Event(3.5, Kind.KILL_AGENT, "logs/0", 0.2),
            Event(4.4, Kind.KILL_AGENT, "plain/0", 0.2),
        ),
        fresh=True,
    ),
)
BROKEN_BROKER = _plan(
    -3,
    (1, 2, 1),
    (
        Event(0.7, Kind.KILL_BROKER, "broker", 0.5),
        Event(1.0, Kind.CUT_ANSWER, "plain", count=1),
        Event(1.3, Kind.KILL_AGENT, "strict/0", 0.2),
        Event(7.0, Kind.FREEZE_BROKER, "broker", 1.0),
        Event(8.5, Kind.FULL_DISK, "broker", 0.5),
        Event(9.0, Kind.TERM_AGENT, "plain/1", 0.2),
    ),
    load_s=10.0,
)


# What commits early is seen only when it is killed while a backend is away.
SABOTAGED = (
    (_plan(-10, (1, 1, 1), (), 3.5), {"strict": "reverse_a_batch", "plain": "drop_a_request", "logs": "send_twice"}),
    (
        _plan(
            -11,
            (1, 1, 1),
            (
                Event(1.0, Kind.AWAY, "plain", 1.5),
                Event(1.5, Kind.KILL_AGENT, "plain/0", 0.1),
                Event(2.5, Kind.KILL_AGENT, "logs/0", 0.1),
            ),
            3.5,
        ),
        {"strict": "forget_a_delivery", "plain": "commit_early", "logs": "commit_late"},
    ),
    (_plan(-12, (1, 1, 1), (Event(0.8, Kind.AWAY, "plain", 2.5),), 4.5, fresh=True), {"plain": "forget_the_past"}),
)
COMPLAINTS = {
    "drop_a_request": "never arrived",
    "reverse_a_batch": "out of order",
    "commit_early": "never arrived",
    "commit_late": "came again",
    "forget_a_delivery": "the ledger",
    "send_twice": "came again",
    "forget_the_past": "never arrived",
}
"""What is said of each fault."""
