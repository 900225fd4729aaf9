"""The processes of headrace in a run: agents and the source; how they begin, and how they end in good order."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from tests.faults.schedules import stepped
from tests.faults.schedules.generate import TIMEOUT_S
from tests.faults.schedules.hatch import Hatched
from tests.faults.schedules.parts import be_agent, be_source
from tests.faults.schedules.plan import BACKENDS, FRESH, RULED_OUT_SERIES, Plan
from tests.faults.schedules.source import Orders
from tests.support.process import get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

PATIENCE_S = 180.0


@dataclass
class Slot:
    """A place for one process: what befalls it comes one after the other."""

    name: str
    process: Hatched
    at_work: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    deaths: int = 0
    earlier: int = 0

    def start(self) -> None:
        """Begin, or begin again."""
        self.earlier = len(self.process.log_text)
        self.process.start()
        self.at_work = True

    @property
    def log(self) -> str:
        """What this life of the process wrote."""
        return self.process.log_text[self.earlier :]

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.at_work and self.process.process.poll() is None


class Broken(AssertionError):
    """The run did not come to its end."""


class Crew:
    """All processes of a run but the broker. `unexpected`: sentences about ends that were not in good order."""

    def __init__(
        self, plan: Plan, brokers: str, prefix: str, folder: Path, urls: Mapping[str, str], faults: Mapping[str, str]
    ) -> None:
        """`urls`: of the backends, by name; `faults`: by backend, see sabotage.py."""
        self.agents: dict[str, list[Slot]] = {name: [] for name in BACKENDS}
        self.unexpected: list[str] = []
        self.journal = folder / "source.journal"
        self._plan = plan
        self._brokers = brokers
        self._prefix = prefix
        self._folder = folder
        self._faults = faults
        self.clock = folder / "clock"
        stepped.make(self.clock)
        (folder / "headrace.yml").write_text(yaml.safe_dump(self._config(urls)))
        self.source = Slot("source", self._source())

    def slots(self) -> Iterator[Slot]:
        """All that were ever used."""
        yield self.source
        for slots in self.agents.values():
            yield from slots

    async def begin(self) -> None:
        """Agents that have their partitions, the source at work."""
        for name, count in self._plan.agents:
            for _ in range(count):
                self.new_agent(name)
        for slots in self.agents.values():
            for slot in slots:
                await self._ready(slot)
        self.source.start()
        await self.going()

    def kill(self) -> None:
        """All of them, whatever they do."""
        for slot in self.slots():
            if slot.alive():
                slot.process.signal(signal.SIGCONT)
            slot.process.kill9()

    async def tell(self) -> None:
        """Let every agent write into its log where it stands."""
        for slot in (one for slots in self.agents.values() for one in slots):
            if slot.process.process.poll() is None:
                slot.process.signal(signal.SIGUSR1)
        await asyncio.sleep(1)

    async def going(self) -> None:
        """Return when the source answers to SIGTERM: before, it has nothing to end in good order."""
        source = self.source
        await self._until("the source", lambda: "going" in source.log, source)

    def _config(self, url: Mapping[str, str]) -> dict[str, object]:
        queue = {"min_backoff": "30ms", "max_backoff": "400ms", "max_samples_per_send": self._plan.send_items}
        drop = {"source_labels": ["series"], "regex": str(RULED_OUT_SERIES), "action": "drop"}
        add = {"target_label": "region", "replacement": "north"}
        timeout = f"{TIMEOUT_S * 1000:.0f}ms"
        fresh = {"recovery": "fresh_first", "profile": "victoriametrics"} if self._plan.fresh else {}
        return {
            "remote_write": [
                {
                    "name": "strict",
                    "url": url["strict"],
                    "remote_timeout": timeout,
                    "queue_config": queue,
                    "write_relabel_configs": [drop, add],
                },
                {"name": FRESH, "url": url[FRESH], "remote_timeout": timeout, "queue_config": queue, **fresh},
            ],
            "logs": {
                "clients": [
                    {
                        "name": "logs",
                        "url": url["logs"],
                        "timeout": timeout,
                        "backoff_config": {"min_period": "30ms", "max_period": "400ms"},
                        "batchsize": self._plan.send_items * 40,
                    }
                ]
            },
            "kafka": {"brokers": [self._brokers], "prefix": self._prefix},
            "topics": {"partitions": self._plan.partitions},
        }

    def new_agent(self, backend: str) -> None:
        """One more, in a place of its own."""
        number = len(self.agents[backend])
        name = f"{backend}/{number}"
        args = [f"--backend={backend}", f"--config.file={self._folder / 'headrace.yml'}"]
        if dict(self._plan.named)[backend]:
            args.append(f"--group.instance-id={backend}-{number}")
        fault = self._faults.get(backend, "")
        log = self._folder / f"{backend}-{number}.log"
        slot = Slot(name, Hatched(be_agent, str(self.clock), fault, args, log=log, web=True))
        self.agents[backend].append(slot)
        slot.start()

    def _source(self) -> Hatched:
        plan = self._plan
        orders = Orders(self._brokers, self._prefix, plan.partitions, plan.series, plan.every_s, str(self.journal))
        return Hatched(be_source, str(self.clock), orders, log=self._folder / "source.log", web=False)

    async def ended(self, slot: Slot) -> None:
        """Return when it has ended; after SIGTERM, in good order or to be found."""
        process = slot.process.process
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise Broken(f"{slot.name} does not end after SIGTERM:\n{slot.log[-3000:]}")
            await asyncio.sleep(0.05)
        code = slot.process.wait()
        # Until Python has begun, nobody answers SIGTERM but the kernel.
        unborn = code == -signal.SIGTERM and "listening on" not in slot.log
        if code and not unborn:
            self.unexpected.append(f"{slot.name} ended with {code} after SIGTERM: {slot.log[-1500:]}")

    async def end_source(self) -> None:
        """Let it give what it has begun, and end."""
        async with self.source.lock:
            await self.going()
            self.source.at_work = False
            self.source.process.terminate()
            await self.ended(self.source)

    async def end_agents(self) -> None:
        """SIGTERM to all at once; each must end with 0."""
        left = [slot for slots in self.agents.values() for slot in slots if slot.alive()]
        for slot in left:
            slot.at_work = False
            slot.process.terminate()
        for slot in left:
            await self.ended(slot)

    async def _ready(self, slot: Slot) -> None:
        await self._until(f"{slot.name} to listen", slot.process._address, slot)
        page = f"{slot.process.web}/-/ready"
        deadline = time.monotonic() + PATIENCE_S
        while (await asyncio.to_thread(get, page))[0] != 200:
            if time.monotonic() > deadline:
                raise Broken(f"{slot.name} is not ready:\n{slot.log}")
            await asyncio.sleep(0.05)

    async def _until(self, what: str, condition: Callable[[], object], slot: Slot) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline or slot.process.process.poll() is not None:
                raise Broken(f"waited in vain for {what}:\n{slot.log[-3000:]}")
            await asyncio.sleep(0.03)
