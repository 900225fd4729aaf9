"""The ledger at the end of a run: what the agents committed beside their offsets, against what was produced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.ledger.commits import decode
from agents.ledger.totals import Totals
from tests.faults.schedules.plan import FRESH
from tests.faults.schedules.truth import KINDS, ruled_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.schedules.stage import Stage
    from tests.faults.schedules.truth import Partition, Truth


def check(stage: Stage, truth: Truth, find: Callable[[str], None]) -> None:
    """Each partition of each backend: committed to its end, and the totals there are exactly what is in the topic."""
    for name, kind in KINDS.items():
        for number, partition in truth.topics[kind].items():
            offset, metadata = truth.committed[name].get(number, (0, ""))
            where = f"{name}/{number}"
            if offset != partition.end:
                find(f"{where}: committed {offset} of {partition.end} records")
            elif partition.end:
                totals = Totals.decode(decode(metadata).get("ledger"))
                wrong = _wrong(name, totals, partition, stage)
                if wrong:
                    find(f"{where}: the ledger: {'; '.join(wrong)}; it is {totals.encode()}")


def _wrong(name: str, totals: Totals, partition: Partition, stage: Stage) -> list[str]:
    out = sum(ruled_out(name, item) for item in partition.items)
    expected = {
        "difference": (totals.difference, 0),
        "in": (totals.taken, len(partition.items) + partition.dead_items),
        "ruled out": (totals.ruled_out.total(), out),
        "dead-lettered": (totals.dead_lettered.total(), partition.dead_items),
        "delivered and rejected": (totals.delivered + totals.rejected.total(), len(partition.items) - out),
        "missing records": (totals.missing_records, 0),
        "missing items": (totals.missing_items, 0),
        "gaps": (totals.gaps, 0),
        "repeats": (totals.repeats, partition.repeated_records),
        "incidents": (len(totals.incidents), 0),
    }
    # Only a strict backend says that it had something before.
    if not stage.backends[name].strict:
        expected["rejected"] = (totals.rejected.total(), 0)
    if stage.plan.fresh and name == FRESH and totals.repeats < partition.repeated_records:
        del expected["repeats"]  # nobody looks for what a producer gave twice in what is delivered out of order
    return [f"{what} is {is_}, should be {should}" for what, (is_, should) in expected.items() if is_ != should]
