"""No request of a lane is sent before a commit says what came of its last one: a kill repeats one at most."""

from __future__ import annotations

import asyncio

from agents.content.batch import Limits
from agents.ledger.ledger import Ledger
from pipeline.clients.outcome import Retry
from tests.unit.agents.builders import Rig, names, record, series
from tests.unit.agents.ledger.test_cover import P, World


async def test_the_second_request_of_a_batch_waits_for_the_commit_of_the_first():
    world = World()
    rig = Rig([Retry("503")], limits=Limits(2))
    rig.ledger = rig.delivery._ledger = rig.deliverer._ledger = Ledger(rig.telemetry, "b", commits=world.commits)
    records = [record(series(f"m{offset}", 1), 1, offset=offset) for offset in range(10, 15)]

    def sent() -> list[list[str]]:
        return [names(body) for body in rig.client.accepted]

    async def until(number: int) -> None:
        async with asyncio.timeout(5):
            while len(sent()) < number:
                await asyncio.sleep(0.001)
        for _ in range(20):
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rig.delivery.process(rig.lane, records, lambda one: world.commits.moved(P, one.offset + 1)))
        await until(1)  # an attempt that failed is no request of its own
        assert sent() == [["m10=1", "m11=1"]]
        assert world.commits.unsaid == {P: 12}
        world.commit(12)
        await until(2)
        assert sent()[1:] == [["m12=1", "m13=1"]]
        world.commit(14)
    assert sent()[2:] == [["m14=1"]]
    assert world.commits.unsaid == {P: 15}
