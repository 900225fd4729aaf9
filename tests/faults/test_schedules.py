"""A short selection of the fault suite: each kind of event at least once. `make faults` plays a hundred and more."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.faults.schedules import generate
from tests.faults.schedules.plan import OF_BROKER, Kind, Poison
from tests.faults.schedules.play import play
from tests.faults.schedules.sabotage import BY_NAME
from tests.faults.schedules.selection import BROKEN_BROKER, COMPLAINTS, SABOTAGED, SHARED_BROKER
from tests.faults.schedules.verdict import _out_of_order

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.schedules.plan import Plan
    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def words(plan: Plan, findings: list[str]) -> str:
    return "\n".join((str(plan), *findings))


@pytest.mark.parametrize("plan", SHARED_BROKER, ids=lambda plan: f"plan{plan.seed}")
async def test_nothing_is_lost_reordered_or_unaccounted_for(
    plan: Plan, kafka: KafkaPeer, kafka_prefix: str, tmp_path: Path
) -> None:
    outcome = await play(plan, kafka.brokers, kafka_prefix, tmp_path)
    assert outcome.findings == [], words(plan, outcome.findings)


async def test_nor_when_the_broker_is_killed_stands_still_and_has_a_full_disk(
    private_kafka: KafkaPeer, kafka_prefix: str, tmp_path: Path
) -> None:
    outcome = await play(BROKEN_BROKER, private_kafka.brokers, kafka_prefix, tmp_path, broker=private_kafka)
    assert outcome.findings == [], words(BROKEN_BROKER, outcome.findings)


async def test_the_suite_sees_every_fault_that_is_built_into_an_agent(
    kafka: KafkaPeer, kafka_prefix: str, tmp_path: Path
) -> None:
    for plan, sabotage in SABOTAGED:
        folder = tmp_path / str(plan.seed)
        folder.mkdir()
        outcome = await play(plan, kafka.brokers, f"{kafka_prefix}{plan.seed}.", folder, sabotage=sabotage)
        for backend, name in sabotage.items():
            complaints = [one for one in outcome.findings if one.startswith(backend) and COMPLAINTS[name] in one]
            assert complaints, f"nobody sees {name}: {words(plan, outcome.findings)}"
        untouched = {"strict", "plain", "logs"} - sabotage.keys()
        assert [one for one in outcome.findings if one.split("/")[0] in untouched] == []


@pytest.mark.parametrize(
    ("came", "lanes", "late"),
    [
        ([1, 2, 3, 4], 1, []),
        ([1, 3, 2, 4], 1, [2]),
        ([1, 6, 2, 7, 3, 4, 8, 5], 2, []),
        ([1, 6, 3, 7, 2, 8], 2, [2]),
        ([3, 2, 1], 2, [1]),
        ([9, 1, 2, 77, 3], 2, []),
    ],
)
def test_what_is_new_and_what_is_past_are_each_in_order(came: list[int], lanes: int, late: list[int]) -> None:
    assert _out_of_order(came, range(1, 10), lanes) == late


def test_every_sabotage_is_tried() -> None:
    assert {name for _, by_backend in SABOTAGED for name in by_backend.values()} == set(BY_NAME)


def test_the_selection_has_every_kind_of_event() -> None:
    plans = (*SHARED_BROKER, BROKEN_BROKER)
    assert {event.kind for plan in plans for event in plan.events} == set(Kind)
    poison = {event.detail for plan in plans for event in plan.events if event.kind is Kind.POISON}
    assert poison == {one.name for one in Poison}


def test_a_seed_gives_the_same_schedule_every_time() -> None:
    assert [generate.plan(seed) for seed in range(50)] == [generate.plan(seed) for seed in range(50)]
    assert len({str(generate.plan(seed)).partition(":")[2] for seed in range(50)}) == 50


def test_a_hundred_seeds_have_every_kind_several_times() -> None:
    plans = [generate.plan(seed) for seed in range(1, 101)]
    times = Counter(event.kind for plan in plans for event in plan.events)
    assert {kind: count for kind, count in times.items() if count < 4} == {}
    assert set(times) == set(Kind)
    assert 10 <= sum(plan.breaks_broker for plan in plans) <= 40
    assert 20 <= sum(plan.fresh for plan in plans) <= 40
    for plan in plans:
        for event in plan.events:
            assert 0 < event.at_s < plan.load_s, plan
            assert plan.breaks_broker or event.kind not in OF_BROKER
