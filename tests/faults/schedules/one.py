"""`python -m tests.faults.schedules.one --seed N …`: one run in a process of its own; its outcome as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.schedules import generate, truth
from tests.faults.schedules.play import Outcome, play
from tests.support.kafka import KafkaPeer
from topics.definitions import TopicNames

if TYPE_CHECKING:
    from collections.abc import Mapping


async def run(seed: int, brokers: str, folder: Path, sabotage: Mapping[str, str]) -> Outcome:
    """Play a seed at the shared broker, or at one of its own where it breaks it (or none is given)."""
    plan = generate.plan(seed)
    prefix = f"faults_{seed}_{time.time_ns():x}."
    if brokers and not plan.breaks_broker:
        try:
            return await play(plan, brokers, prefix, folder, sabotage=sabotage)
        finally:
            await truth.forget(brokers, TopicNames(prefix))
    peer = KafkaPeer(folder / "kafka")
    try:
        await peer.astart()
        return await play(plan, peer.brokers, prefix, folder, broker=peer, sabotage=sabotage)
    finally:
        await asyncio.to_thread(peer.close)


def main() -> int:
    """Exit code 0: nothing was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--brokers", default="")
    parser.add_argument("--sabotage", nargs="*", default=[], metavar="BACKEND=NAME", help="see sabotage.py")
    parser.add_argument("--folder", default="")
    parser.add_argument("--outcome", default="")
    given = parser.parse_args()
    folder = Path(given.folder or tempfile.mkdtemp(prefix=f"headrace-faults-{given.seed}-"))
    folder.mkdir(parents=True, exist_ok=bool(not given.folder))
    sabotage = dict(one.split("=") for one in given.sabotage)
    outcome = asyncio.run(run(given.seed, given.brokers, folder, sabotage))
    if given.outcome:
        Path(given.outcome).write_text(json.dumps(asdict(outcome)))
    else:
        print(generate.plan(given.seed))
        print(json.dumps(asdict(outcome), indent=1))
        print(f"logs in {folder}" if outcome.findings else "nothing found")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
