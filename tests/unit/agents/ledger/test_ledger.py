"""The ledger closes, whatever the backend answers and wherever it is cut."""

from __future__ import annotations

import asyncio
import random

import pytest

from agents.content.batch import Limits
from agents.content.metrics import MetricsCodec
from agents.content.rewrite import MetricsRewriter, Rules
from agents.lanes.lane import Interrupted
from pipeline.clients.outcome import Delivered, Rejected, Retry
from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule
from tests.unit.agents.builders import Rig, names, record, series
from topics import compression

OUTCOMES = (
    Delivered(),
    Delivered(),
    Delivered(),
    Retry("503"),
    Rejected("bad_request", "no", 400),
    Rejected("out_of_order", "again", 400),
    Rejected("too_large", "", 413),
)


def check(rig: Rig) -> dict:
    found = rig.ledger.summary()
    outcomes = sum(sum(found[name].values()) for name in ("ruled_out", "rejected", "dead_lettered"))
    assert found["in"] == found["delivered"] + outcomes + found["pending"]
    assert found["difference"] == 0
    return found


@pytest.mark.parametrize("seed", range(60))
async def test_it_closes_for_random_answers_and_cuts(seed):
    chance = random.Random(seed)
    drop = RelabelRule.build(source_labels=("app",), regex="drop", action="drop")
    rewriter = MetricsRewriter(Rules(Program([drop]), {})) if chance.random() < 0.5 else None
    limits = Limits(max_items=chance.choice([1, 5, 50]), split=chance.random() < 0.5)
    rig = Rig(lambda body: chance.choice(OUTCOMES), codec=MetricsCodec(), rewriter=rewriter, limits=limits)
    records = []
    for offset in range(12):
        count = chance.randrange(1, 9)
        body = b"".join(series(f"m{offset}_{i}", 1, app=chance.choice(["keep", "drop"])) for i in range(count))
        broken = chance.random() < 0.15
        value = compression.compress(body)[:-3] if broken else None
        records.append(record(body, count, offset=offset, headers=not broken or chance.random() < 0.5, value=value))
    total = sum(rig.delivery.items(one) for one in records)
    left = records
    while left:
        if chance.random() < 0.5:
            rig.client.hook = lambda: rig.lane.stop() if chance.random() < 0.3 else None
        try:
            await rig.process(*left)
        except Interrupted:
            assert check(rig)["pending"] == 0
            rig.lane.resume()
        left = [one for one in records if one.offset not in rig.settled]
    check(rig)
    assert rig.settled == list(range(12))
    outcomes = rig.account.summary()
    assert outcomes["in"] == total  # what was settled in part before a cut is counted when it is settled


async def test_cancelling_gives_back_what_had_no_outcome():
    started = asyncio.Event()

    class Hanging:
        closed = 0

        async def send(self, body: bytes, tenant: str = "", attempt: int = 0):
            started.set()
            await asyncio.Event().wait()

    rig = Rig()
    rig.delivery._deliverer._client = Hanging()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rig.process(record(series("a", 1, 2), 2)))
        await started.wait()
        assert rig.ledger.summary()["pending"] == 2
        task.cancel()
    found = check(rig)
    assert (found["in"], found["pending"], rig.account.returned) == (0, 0, 2)
    assert rig.settled == []


async def test_the_metrics_say_what_the_summary_says():
    def script(body: bytes):
        return Rejected("bad_request", "no", 400) if "bad=1" in names(body) else Delivered()

    rig = Rig(script)
    await rig.process(record(series("a", 1) + series("bad", 1) + series("c", 1), 3))
    text = rig.telemetry.render().decode()
    for line in (
        'headrace_agent_items_in_total{backend="b",partition="3"} 3.0',
        'headrace_agent_items_delivered_total{backend="b",partition="3"} 2.0',
        'headrace_agent_items_dead_lettered_total{backend="b",partition="3",reason="bad_request"} 1.0',
        'headrace_agent_items_pending{backend="b",partition="3"} 0.0',
        'headrace_agent_ledger_difference{backend="b",partition="3"} 0.0',
        'headrace_agent_requests_total{backend="b",outcome="delivered"} 2.0',
    ):
        assert line in text, line
