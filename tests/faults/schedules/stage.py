"""Everybody in a run: the crew, the backends, the broker; and what each event does to them."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psutil

from tests.faults.schedules import stepped
from tests.faults.schedules.backend import FaultyBackend
from tests.faults.schedules.crew import Crew, Slot
from tests.faults.schedules.generate import TIMEOUT_S
from tests.faults.schedules.plan import BACKENDS, OF_BACKENDS, Event, Kind, Plan
from tests.faults.schedules.poison import Poisoner
from topics import admin
from topics.definitions import TopicNames, specs
from topics.record import Kind as Body

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.kafka import KafkaPeer

LOOK_S = 0.1
BROKER_BACK_S = 15.0
"""So long after its outage the broker has settled who is in which group."""


@dataclass(frozen=True)
class Disruption:
    """A time in which an agent may deliver without committing it, in seconds of the monotonic clock.

    `answered`: whether Kafka takes commits meanwhile: then that is one request of each partition at most. An agent that
    stood still (`frozen`) may send one more when it goes on, though somebody else has its partitions by then.
    """

    began_s: float
    ended_s: float
    answered: bool = True
    frozen: bool = False


class Lateness:
    """How late this process's loop is, on a machine that has more to do than it can."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque(maxlen=3000)

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(LOOK_S)
            ended_s = time.monotonic()
            self._late.append((ended_s, ended_s - began_s - LOOK_S))

    def since(self, since_s: float) -> float:
        """At most, since a time of the monotonic clock, in seconds."""
        return max((late_s for at_s, late_s in self._late if at_s >= since_s), default=0.0)


class Stage:
    """Use as ``async with``: the backends listen, agents and the source are started by `begin`."""

    def __init__(
        self, plan: Plan, brokers: str, prefix: str, folder: Path, broker: KafkaPeer | None, sabotage: Mapping[str, str]
    ) -> None:
        """`broker`: the one to break, where the plan breaks one."""
        self.plan = plan
        self.brokers = brokers
        self.names = TopicNames(prefix)
        self.lateness = Lateness()
        self.backends = {
            "strict": self._backend(Body.METRICS, strict=True),
            "plain": self._backend(Body.METRICS),
            "logs": self._backend(Body.LOGS),
        }
        self.poisoner = Poisoner(brokers, self.names, plan)
        self.disruptions: dict[str, list[Disruption]] = {name: [] for name in BACKENDS}
        self._folder = folder
        self._broker = broker
        self._breaking = asyncio.Lock()
        self._sabotage = sabotage
        self._exits = AsyncExitStack()
        self.crew: Crew

    def _backend(self, kind: Body, *, strict: bool = False) -> FaultyBackend:
        return FaultyBackend(
            kind,
            strict=strict,
            keeps_good=self.plan.keeps_good,
            answers_after_s=self.plan.answers_after_s,
            timeout_s=TIMEOUT_S,
            late_s=self.lateness.since,
        )

    async def __aenter__(self) -> Self:
        for backend in self.backends.values():
            await self._exits.enter_async_context(backend)
        urls = {name: backend.url for name, backend in self.backends.items()}
        self.crew = Crew(self.plan, self.brokers, self.names.prefix, self._folder, urls, self._sabotage)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.crew.kill()
        await self.poisoner.close()
        await self._exits.aclose()

    async def begin(self) -> None:
        """Topics, and everybody at work."""
        await admin.ensure(
            self.brokers,
            specs(
                self.names,
                partitions=self.plan.partitions,
                replication_factor=1,
                retention_ms=7 * 86_400_000,
                min_insync_replicas=1,
                max_message_bytes=4 * 1024**2,
            ),
        )
        await self.crew.begin()

    async def suffer(self, event: Event) -> None:
        """Let an event happen; return when it is over."""
        kind = event.kind
        if kind in OF_BACKENDS:
            await self.backends[event.target].suffer(event)
        elif kind in (Kind.KILL_AGENT, Kind.FREEZE_AGENT, Kind.TERM_AGENT):
            backend, number = event.target.split("/")
            await self._shake(self.crew.agents[backend][int(number)], event)
        elif kind in (Kind.KILL_SOURCE, Kind.FREEZE_SOURCE, Kind.TERM_SOURCE):
            await self._shake(self.crew.source, event)
        elif kind is Kind.JOIN:
            self.crew.new_agent(event.target)
        elif kind is Kind.LEAVE:
            await self._leave(event)
        elif kind is Kind.CLOCK_STEP:
            stepped.step(self.crew.clock, event.amount)
        elif kind is Kind.POISON:
            await self.poisoner.put(event)
        else:
            async with self._breaking:
                await self._break_broker(event)

    async def _shake(self, slot: Slot, event: Event) -> None:
        async with slot.lock:
            if not slot.alive():
                return
            if event.kind in (Kind.KILL_AGENT, Kind.FREEZE_AGENT):
                frozen = event.kind is Kind.FREEZE_AGENT
                self._disrupted(event.target.split("/")[0], event.lasts_s if frozen else 0.0, frozen=frozen)
            if event.kind in (Kind.FREEZE_AGENT, Kind.FREEZE_SOURCE):
                slot.process.signal(signal.SIGSTOP)
                await asyncio.sleep(event.lasts_s)
                slot.process.signal(signal.SIGCONT)
                return
            if event.kind is Kind.TERM_SOURCE:
                await self.crew.going()
            slot.at_work = False
            if event.kind in (Kind.KILL_AGENT, Kind.KILL_SOURCE):
                slot.process.kill9()
            else:
                slot.process.terminate()
                await self.crew.ended(slot)
            await asyncio.sleep(event.lasts_s)
            slot.start()

    def _disrupted(self, backend: str, lasts_s: float, *, answered: bool = True, frozen: bool = False) -> None:
        """From now on, for so long, what was delivered may not be committed."""
        began_s = time.monotonic()
        self.disruptions[backend].append(Disruption(began_s, began_s + lasts_s, answered, frozen))

    async def _leave(self, event: Event) -> None:
        """An agent goes for good; when it is the only one, it comes back after a while."""
        slots = [slot for slot in self.crew.agents[event.target] if slot.alive()]
        if not slots:
            return
        slot = slots[-1]
        async with slot.lock:
            if not slot.alive():
                return
            slot.at_work = False
            slot.process.terminate()
            await self.crew.ended(slot)
            if len(slots) == 1:
                await asyncio.sleep(event.lasts_s)
                slot.start()

    async def _break_broker(self, event: Event) -> None:
        broker = self._broker
        assert broker is not None, "a plan that breaks the broker has one of its own"
        for name in BACKENDS:
            self._disrupted(name, event.lasts_s + BROKER_BACK_S, answered=False)
        if event.kind is Kind.FREEZE_BROKER:
            broker.freeze()
            await asyncio.sleep(event.lasts_s)
            broker.thaw()
            return
        if event.kind is Kind.FULL_DISK:
            self._fill_disk(broker)
            deadline = time.monotonic() + 10
            while broker.pid is not None and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            if broker.pid is not None:
                self.crew.unexpected.append("the broker lives on with a full disk")
        await broker.akill9()
        await asyncio.sleep(event.lasts_s)
        await broker.astart()

    @staticmethod
    def _fill_disk(broker: KafkaPeer) -> None:
        """No file of the broker may grow: its next write fails in the middle, as on a full disk, and so it ends.

        A limit on the size of its files (EFBIG) needs no privilege, where a small file system of its own (ENOSPC) does;
        Kafka sees the same IOException, and gives the folder up.
        """
        assert broker.pid is not None
        psutil.Process(broker.pid).rlimit(psutil.RLIMIT_FSIZE, (4096, psutil.RLIM_INFINITY))

    async def keep_alive(self) -> None:
        """Start agents again that ended by themselves, as an orchestrator would, until it is cancelled."""
        while True:
            for slots in self.crew.agents.values():
                for slot in slots:
                    if slot.at_work and not slot.lock.locked() and slot.process.process.poll() is not None:
                        slot.deaths += 1
                        self._disrupted(slot.name.split("/")[0], 0.0)
                        code = slot.process.process.returncode
                        if not self.plan.breaks_broker:
                            self.crew.unexpected.append(
                                f"{slot.name} ended with {code}: {slot.process.log_text[-3000:]}"
                            )
                        slot.process.wait()
                        slot.start()
            await asyncio.sleep(0.1)

    def heal(self) -> None:
        """All troubles of the backends are over."""
        for backend in self.backends.values():
            backend.heal()
