"""Dividing a rejected request: exactly where that is cheap, within bounds where it is not."""

from __future__ import annotations

import pytest

from agents.delivery.patience import LEAST_ANSWERS, Patience
from pipeline.clients.outcome import Delivered, Rejected
from tests.unit.agents.builders import Rig, names, record, series

BAD = Rejected("too_old", "out of bounds", 400)


def many(count: int, offset: int = 0) -> bytes:
    return b"".join(series(f"m{offset}_{number}", number) for number in range(count))


def rejecting(*bad: str, everything: bool = False):
    def script(body: bytes):
        return BAD if everything or any(name.split("=")[0] in bad for name in names(body)) else Delivered()

    return script


def outcome(rig: Rig) -> tuple[int, int]:
    found = rig.ledger.summary()
    dead = sum(found["dead_lettered"].values())
    assert found["in"] == found["delivered"] + dead
    assert found["difference"] == 0
    assert sum(len(names(letter.value)) for letter in rig.letters) == dead
    return found["delivered"], dead


async def test_a_few_bad_among_many_are_found_exactly():
    rig = Rig(rejecting("m0_17", "m0_2500", "m0_4999"))
    await rig.process(record(many(5000), 5000))
    assert outcome(rig) == (4997, 3)
    assert sorted(name for letter in rig.letters for name in names(letter.value)) == [
        "m0_17=17", "m0_2500=2500", "m0_4999=4999",
    ]  # fmt: skip
    assert len(rig.client.bodies) < 100


async def test_a_request_in_which_all_is_bad_costs_a_bounded_number_of_requests():
    rig = Rig(rejecting(everything=True))
    await rig.process(record(many(6000), 6000))
    assert outcome(rig) == (0, 6000)
    assert len(rig.client.bodies) < 4000


async def test_a_backend_that_goes_on_rejecting_is_asked_less_and_less_and_regains_trust():
    bad: list[bool] = [True]
    rig = Rig(lambda body: BAD if bad[0] else Delivered())
    costs = []
    for number in range(9):
        before = len(rig.client.bodies)
        await rig.process(record(many(2000, number), 2000, offset=number))
        costs.append(len(rig.client.bodies) - before)
    assert costs[-1] < 60
    assert costs == sorted(costs, reverse=True)
    bad[0] = False
    for number in range(10, 20):
        await rig.process(record(many(10, number), 10, offset=number))
    bad[0] = True
    before = len(rig.client.bodies)
    await rig.process(record(many(400, 30), 400, offset=30))
    assert len(rig.client.bodies) - before == 799  # to the single item again


async def test_the_good_before_the_bound_is_reached_is_delivered_and_after_it_in_small_parts():
    odd = {f"m0_{number}" for number in range(3000) if number % 2}
    rig = Rig(lambda body: BAD if any(name.split("=")[0] in odd for name in names(body)) else Delivered())
    await rig.process(record(many(3000), 3000))
    delivered, dead = outcome(rig)
    assert delivered > 200
    assert dead < 2800
    assert max(len(names(letter.value)) for letter in rig.letters) <= 3


async def test_what_may_have_been_sent_before_is_told_from_the_rest_whatever_it_costs():
    out_of_order = Rejected("out_of_order", "out of order sample", 400)
    fresh = {"m0_1999"}

    def script(body: bytes):
        return out_of_order if any(name.split("=")[0] not in fresh for name in names(body)) else Delivered()

    rig = Rig(script)
    rig.deliverer._patience = Patience(LEAST_ANSWERS)
    await rig.process(record(many(2000), 2000, seen_before=True))
    found = rig.ledger.summary()
    assert (found["delivered"], found["rejected"]) == (1, {"out_of_order": 1999})
    assert rig.letters == []


@pytest.mark.parametrize("size", [1, 16, 17, 1000, 1001, 50_000])
def test_the_bound_holds_for_every_size(size):
    patience = Patience()
    search = patience.search("bad_request", size)
    asked = 0

    def ask(items: int) -> None:
        nonlocal asked
        asked += 1
        if search.rejected(items) and items > 1:
            ask(items // 2)
            ask(items - items // 2)

    ask(size)
    assert asked <= min(2 * size, 4100)
