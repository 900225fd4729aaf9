"""What must be true at the end of a run. Each finding is a sentence; none is what we want."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults.schedules import accounts
from tests.faults.schedules.plan import FRESH
from tests.faults.schedules.source import Journal
from tests.faults.schedules.truth import KINDS, wanted_at
from topics.record import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.faults.schedules.backend import Arrival, Item
    from tests.faults.schedules.plan import Plan
    from tests.faults.schedules.stage import Disruption, Stage
    from tests.faults.schedules.truth import Partition, Truth

MOST_SHOWN = 4
BUSY_S = 0.25
"""A machine is too busy to say who was in time when our own loop is later than this."""
COMMITTED_AFTER_S = 2.0
"""Where Kafka takes no commits: agents commit twice a second at least, and a busy machine may take this long."""
ABOUT_S = 0.5
"""A request that arrives so soon after a signal was sent may have been sent before it."""


@dataclass
class Verdict:
    """`findings`: what is wrong. The rest is for the table."""

    findings: list[str] = field(default_factory=list)
    samples: int = 0
    lines: int = 0
    repeats: int = 0
    worst_repeat: int = 0
    dead_letters: int = 0

    def find(self, sentence: str) -> None:
        """Something is wrong."""
        self.findings.append(sentence)


def judge(stage: Stage, truth: Truth) -> Verdict:
    """All of it."""
    verdict = Verdict()
    for sentence in stage.crew.unexpected:
        verdict.find(sentence)
    _acknowledged_is_in_kafka(stage, truth, verdict)
    for name, kind in KINDS.items():
        for number, partition in truth.topics[kind].items():
            _everything_is_at_the_backend(stage, name, number, partition, verdict)
        _dead_letters_are_the_poison(stage, name, truth, verdict)
    accounts.check(stage, truth, verdict.find)
    verdict.samples = sum(len(one.items) for one in truth.topics[Kind.METRICS].values())
    verdict.lines = sum(len(one.items) for one in truth.topics[Kind.LOGS].values())
    return verdict


def _acknowledged_is_in_kafka(stage: Stage, truth: Truth, verdict: Verdict) -> None:
    journal = Journal(stage.crew.journal)
    for kind in Kind:
        for partition, there in truth.topics[kind].items():
            found = set(there.items)
            lost = [
                number
                for number in sorted(journal.acked[kind])
                if any(
                    ("numbered", str(partition), str(series), number) not in found
                    for series in range(stage.plan.series)
                )
            ]
            if lost:
                verdict.find(f"{kind}/{partition}: acknowledged, and not in Kafka: rounds {_some(lost)}")
            for series, numbers in _by_series(there.items).items():
                if _first_comings(numbers) != sorted(set(numbers)):
                    verdict.find(f"{kind}/{partition}: series {series} is out of order in Kafka")


def _everything_is_at_the_backend(stage: Stage, name: str, number: int, partition: Partition, verdict: Verdict) -> None:
    where = f"{name}/{number}"
    arrivals = [one for one in stage.backends[name].arrivals if any(item[1] == str(number) for item in one.items)]
    came = [item for one in arrivals for item in one.items]
    wanted = wanted_at(name, partition.items)
    lost = set(wanted) - set(came)
    if lost:
        verdict.find(f"{where}: {len(lost)} of {len(wanted)} never arrived: {_some(sorted(lost))}")
    strange = set(came) - set(wanted)
    if strange:
        verdict.find(f"{where}: {len(strange)} arrived that should not have: {_some(sorted(strange))}")
    order = _by_series(wanted)
    for series, numbers in _by_series(came).items():
        lanes = 2 if stage.plan.fresh and name == FRESH else 1
        late = _out_of_order(_first_comings(numbers), order.get(series, []), lanes)
        if late:
            verdict.find(f"{where}: series {series} came out of order: {_some(late)}")
    _repeats_are_bounded(stage, name, where, arrivals, partition, verdict)


def _repeats_are_bounded(
    stage: Stage, name: str, where: str, arrivals: Sequence[Arrival], partition: Partition, verdict: Verdict
) -> None:
    """What came again is what a backend kept from us that it has, or what a disruption may repeat."""
    seen: Counter[Item] = Counter()
    repeats = worst = row = 0
    for arrival in arrivals:
        for item in arrival.items:
            seen[item] += 1
            row = row + 1 if seen[item] > 1 else 0
            repeats += seen[item] > 1
            worst = max(worst, row)
    repeats -= len(wanted_at(name, partition.items)) - len(set(wanted_at(name, partition.items)))
    unknown = sum(len(one.items) for one in arrivals if not one.known)
    if stage.lateness.since(0.0) > BUSY_S:
        # Then a sender may have given up on an answer of which we think that it came in time.
        unknown += sum(len(one.items) for one in arrivals if one.retry)
    lanes = 2 if stage.plan.fresh and name == FRESH else 1
    divided = stage.backends[name].refused_order > 0
    about_s = ABOUT_S + stage.lateness.since(0.0)
    disrupted = sum(
        _uncommitted(arrivals, one, stage.plan, lanes, about_s=about_s, divided=divided)
        for one in stage.disruptions[name]
    )
    if repeats > unknown + disrupted:
        verdict.find(
            f"{where}: {repeats} items came again; {unknown} were stored without its agent being told, and"
            f" {disrupted} may have been delivered uncommitted in {len(stage.disruptions[name])} disruptions"
        )
    verdict.repeats += max(repeats, 0)
    verdict.worst_repeat = max(verdict.worst_repeat, worst)


def _uncommitted(
    arrivals: Sequence[Arrival], disruption: Disruption, plan: Plan, lanes: int, *, about_s: float, divided: bool
) -> int:
    """What may come again after a disruption.

    One request of each lane: the last one that arrived before it. Where the backend makes agents divide requests
    (`divided`), that is any number of arrivals, together as large as a request may be. While Kafka takes no commits:
    what was delivered since the last one, and one request in flight.
    """
    largest = max(plan.send_items, plan.series) * lanes
    if not disruption.answered:
        since_s, until_s = disruption.began_s - COMMITTED_AFTER_S, disruption.ended_s
        return largest + sum(len(one.items) for one in arrivals if since_s <= one.began_s <= until_s)
    if disruption.frozen:
        return 2 * largest
    if divided or lanes > 1:
        return largest
    before = [len(one.items) for one in arrivals if one.began_s <= disruption.began_s]
    about = [len(one.items) for one in arrivals if 0 < one.began_s - disruption.began_s <= about_s]
    return max([*before[-1:], *about], default=0)


def _dead_letters_are_the_poison(stage: Stage, name: str, truth: Truth, verdict: Verdict) -> None:
    poison = stage.poisoner.dead[KINDS[name]]
    letters = [one for one in truth.dead[KINDS[name]] if one.backend == name]
    found = Counter((one.partition, one.offset) for one in letters)
    missing = sorted(poison.keys() - found.keys())
    if missing:
        verdict.find(f"{name}: poison that is not in the dead-letter topic: {_some(missing)}")
    for one in letters:
        if (one.partition, one.offset) not in poison:
            verdict.find(f"{name}: a dead letter of a good record: {one}")
    twice = sum(found.values()) - len(found)
    if twice > len(stage.disruptions[name]) * stage.plan.partitions:
        verdict.find(f"{name}: {twice} dead letters are there more than once")
    verdict.dead_letters += len(letters)


def _by_series(items: Sequence[Item]) -> dict[tuple[str, str, str], list[int]]:
    found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for name, partition, series, number in items:
        found[name, partition, series].append(number)
    return found


def _first_comings(numbers: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


def _out_of_order(came: Sequence[int], order: Sequence[int], lanes: int) -> list[int]:
    """Those that came first after one that stands behind them in the topic, in every lane.

    What is new and what is past are each in order: one of two lanes has nothing yet that stands behind (the one that
    has got furthest is taken, which is right if anything is).
    """
    place: Mapping[int, int] = {number: index for index, number in reversed(list(enumerate(order)))}
    highest = [-1] * lanes
    late = []
    for number in came:
        at = place.get(number)
        if at is None:
            continue
        behind = [lane for lane, top in enumerate(highest) if top <= at]
        if behind:
            highest[max(behind, key=highest.__getitem__)] = at
        else:
            late.append(number)
    return late


def _some(things: Sequence[object]) -> str:
    shown = ", ".join(map(str, things[:MOST_SHOWN]))
    return f"{shown} … {things[-1]}" if len(things) > MOST_SHOWN else shown
