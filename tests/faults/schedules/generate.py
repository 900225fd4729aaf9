"""Seed → plan. A pure function: `random.Random(seed)` is the only chance in it."""

from __future__ import annotations

from random import Random

from tests.faults.schedules.plan import (
    BACKENDS,
    BROKER,
    OF_AGENTS,
    OF_BACKENDS,
    OF_BROKER,
    OF_SOURCE,
    SOURCE,
    Event,
    Kind,
    Plan,
    Poison,
)

STATUSES = ("429", "500", "503")
TIMEOUT_S = 2.5
"""What the backends are configured with: an answer later than this comes too late."""
LONG_FREEZE_S = 12.0
"""Longer than a session in a consumer group: somebody else has the partitions meanwhile."""
BROKER_SHARE, LONG_FREEZE_SHARE, FRESH_SHARE = 0.2, 0.08, 0.3


def plan(seed: int) -> Plan:
    """The plan of a seed."""
    chance = Random(seed)
    agents = {name: chance.choice((1, 2)) for name in BACKENDS}
    load_s = round(chance.uniform(6.0, 9.0), 1)
    kinds = chance.sample([*OF_AGENTS, Kind.JOIN, Kind.LEAVE, Kind.POISON, Kind.CLOCK_STEP], k=chance.randint(3, 5))
    kinds += chance.choices(OF_BACKENDS, k=chance.randint(3, 6))
    kinds += chance.sample(OF_SOURCE, k=chance.randint(0, 2))
    if chance.random() < BROKER_SHARE:
        kinds.append(chance.choice(OF_BROKER))
    events = [_event(chance, kind, agents, load_s) for kind in kinds]
    return Plan(
        seed=seed,
        load_s=load_s,
        partitions=chance.choice((3, 4, 6)),
        series=chance.choice((5, 8, 12)),
        every_s=chance.choice((0.02, 0.05, 0.1)),
        agents=tuple(agents.items()),
        named=tuple((name, chance.random() < 0.75) for name in BACKENDS),
        send_items=chance.choice((50, 200, 1000)),
        keeps_good=chance.random() < 0.5,
        answers_after_s=chance.choice((0.0, 0.01, 0.1)),
        events=tuple(sorted(events, key=lambda event: event.at_s)),
        fresh=chance.random() < FRESH_SHARE,
    )


def _event(chance: Random, kind: Kind, agents: dict[str, int], load_s: float) -> Event:
    at_s = round(chance.uniform(0.5, load_s - 0.5), 2)
    if kind in OF_AGENTS:
        backend = chance.choice(BACKENDS)
        target = f"{backend}/{chance.randrange(agents[backend])}"
        lasts_s = chance.uniform(0.0, 1.5)
        if kind is Kind.FREEZE_AGENT:
            lasts_s = LONG_FREEZE_S if chance.random() < LONG_FREEZE_SHARE * 2 else chance.uniform(0.3, 4.0)
        return Event(at_s, kind, target, round(lasts_s, 2))
    if kind in OF_SOURCE:
        return Event(at_s, kind, SOURCE, round(chance.uniform(0.2, 2.0), 2))
    if kind in OF_BROKER:
        return Event(at_s, kind, BROKER, round(chance.uniform(0.5, 4.0), 2))
    if kind is Kind.JOIN:
        return Event(at_s, kind, chance.choice(BACKENDS))
    if kind is Kind.LEAVE:
        return Event(at_s, kind, chance.choice(BACKENDS), round(chance.uniform(0.5, 2.0), 2))
    if kind is Kind.CLOCK_STEP:
        return Event(at_s, kind, "all", amount=chance.choice((-3600.0, -5.0, 5.0, 3600.0, 86400.0)))
    if kind is Kind.POISON:
        detail = chance.choice(list(Poison)).name
        return Event(at_s, kind, chance.choice(("metrics", "logs")), count=chance.randint(1, 3), detail=detail)
    return _of_backend(chance, kind, at_s)


def _of_backend(chance: Random, kind: Kind, at_s: float) -> Event:
    target = chance.choice(BACKENDS)
    if kind in (Kind.STATUS, Kind.STATUS_WITH_TIME):
        after_s = float(chance.choice((1, 2))) if kind is Kind.STATUS_WITH_TIME else 0.0
        lasts_s = round(chance.uniform(0.3, 3.0), 2)
        return Event(at_s, kind, target, lasts_s, detail=chance.choice(STATUSES), amount=after_s)
    if kind in (Kind.AWAY, Kind.SLOW_READS):
        return Event(at_s, kind, target, round(chance.uniform(0.3, 3.0), 2))
    return Event(at_s, kind, target, count=chance.randint(1, 4))
