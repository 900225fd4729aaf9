"""The processes of a run: agents, the source, backends, the broker; and what each event does to them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
import yaml

from tests.faults.schedules import sabotage, stepped
from tests.faults.schedules.backend import FaultyBackend
from tests.faults.schedules.generate import TIMEOUT_S
from tests.faults.schedules.plan import BACKENDS, OF_BACKENDS, RULED_OUT_SERIES, Event, Kind, Plan
from tests.faults.schedules.poison import Poisoner
from tests.faults.schedules.source import Orders
from tests.support.process import Headrace
from topics import admin
from topics.definitions import TopicNames, specs
from topics.record import Kind as Body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.kafka import KafkaPeer

ROOT = Path(__file__).parents[3]
PATIENCE_S = 90.0
BROKER_BACK_S = 15.0
"""So long after its outage the broker has settled who is in which group."""
AS_AGENT = (sys.executable, "-m", "tests.faults.schedules.as_agent")
AS_SOURCE = (sys.executable, "-m", "tests.faults.schedules.source")


@dataclass
class Slot:
    """A place for one process: what befalls it comes one after the other."""

    name: str
    process: Headrace
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


@dataclass(frozen=True)
class Disruption:
    """A time in which an agent may deliver without committing it, in seconds of the monotonic clock."""

    began_s: float
    ended_s: float


class Broken(AssertionError):
    """The run did not come to its end."""


class Stage:
    """Use as ``async with``: the backends listen, agents and the source are started by `begin`."""

    def __init__(self, plan: Plan, brokers: str, prefix: str, folder: Path, broker: KafkaPeer | None = None) -> None:
        """`broker`: the one to break, where the plan breaks one."""
        self.plan = plan
        self.brokers = brokers
        self.names = TopicNames(prefix)
        self.agents: dict[str, list[Slot]] = {name: [] for name in BACKENDS}
        self.backends = {
            "strict": self._backend(Body.METRICS, strict=True),
            "plain": self._backend(Body.METRICS),
            "logs": self._backend(Body.LOGS),
        }
        self.poisoner = Poisoner(brokers, self.names, plan)
        self.unexpected: list[str] = []
        self.disruptions: dict[str, list[Disruption]] = {name: [] for name in BACKENDS}
        self.source_kills = 0
        self.sabotage: Mapping[str, str] = {}
        self._prefix = prefix
        self._folder = folder
        self._broker = broker
        self._clock = folder / "clock"
        self._exits = AsyncExitStack()
        self.source = Slot("source", self._source())

    def _backend(self, kind: Body, *, strict: bool = False) -> FaultyBackend:
        return FaultyBackend(
            kind,
            strict=strict,
            keeps_good=self.plan.keeps_good,
            answers_after_s=self.plan.answers_after_s,
            timeout_s=TIMEOUT_S,
        )

    async def __aenter__(self) -> Self:
        stepped.make(self._clock)
        for backend in self.backends.values():
            await self._exits.enter_async_context(backend)
        return self

    async def __aexit__(self, *_: object) -> None:
        for slot in self.slots():
            if slot.alive():
                slot.process.process.send_signal(signal.SIGCONT)
            slot.process.kill9()
        await self.poisoner.close()
        await self._exits.aclose()

    def slots(self) -> list[Slot]:
        """All that were ever used."""
        return [self.source, *(slot for slots in self.agents.values() for slot in slots)]

    # How it begins.

    async def begin(self) -> None:
        """Topics, agents that have their partitions, the source at work."""
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
        (self._folder / "headrace.yml").write_text(yaml.safe_dump(self._config()))
        for name, count in self.plan.agents:
            for _ in range(count):
                self._new_agent(name).start()
        for slots in self.agents.values():
            for slot in slots:
                await self._ready(slot)
        self.source.start()
        await self._going()

    async def _going(self) -> None:
        """Return when the source answers to SIGTERM: before, it has nothing to end in good order."""
        source = self.source
        await self._until("the source", lambda: "going" in source.log, source)

    def _config(self) -> dict[str, object]:
        queue = {"min_backoff": "30ms", "max_backoff": "400ms", "max_samples_per_send": self.plan.send_items}
        drop = {"source_labels": ["series"], "regex": str(RULED_OUT_SERIES), "action": "drop"}
        add = {"target_label": "region", "replacement": "north"}
        timeout = f"{TIMEOUT_S * 1000:.0f}ms"
        url = {name: backend.url for name, backend in self.backends.items()}
        return {
            "remote_write": [
                {
                    "name": "strict",
                    "url": url["strict"],
                    "remote_timeout": timeout,
                    "queue_config": queue,
                    "write_relabel_configs": [drop, add],
                },
                {"name": "plain", "url": url["plain"], "remote_timeout": timeout, "queue_config": queue},
            ],
            "logs": {
                "clients": [
                    {
                        "name": "logs",
                        "url": url["logs"],
                        "timeout": timeout,
                        "backoff_config": {"min_period": "30ms", "max_period": "400ms"},
                        "batchsize": self.plan.send_items * 40,
                    }
                ]
            },
            "kafka": {"brokers": [self.brokers], "prefix": self._prefix},
            "topics": {"partitions": self.plan.partitions},
        }

    def _new_agent(self, backend: str) -> Slot:
        number = len(self.agents[backend])
        name = f"{backend}/{number}"
        args = [f"--backend={backend}", f"--config.file={self._folder / 'headrace.yml'}"]
        if dict(self.plan.named)[backend]:
            args.append(f"--group.instance-id={backend}-{number}")
        environment = {stepped.VARIABLE: str(self._clock), sabotage.VARIABLE: self.sabotage.get(backend, "")}
        slot = Slot(name, Headrace(*args, argv=AS_AGENT, cwd=ROOT, env=environment))
        self.agents[backend].append(slot)
        return slot

    def _source(self) -> Headrace:
        plan = self.plan
        self.source_journal = self._folder / "source.journal"
        orders = Orders(
            self.brokers, self._prefix, plan.partitions, plan.series, plan.every_s, str(self.source_journal)
        )
        environment = {stepped.VARIABLE: str(self._clock)}
        return Headrace(json.dumps(asdict(orders)), web=False, argv=AS_SOURCE, cwd=ROOT, env=environment)

    # What befalls it.

    async def suffer(self, event: Event) -> None:
        """Let an event happen; return when it is over."""
        kind = event.kind
        if kind in OF_BACKENDS:
            await self.backends[event.target].suffer(event)
        elif kind in (Kind.KILL_AGENT, Kind.FREEZE_AGENT, Kind.TERM_AGENT):
            backend, number = event.target.split("/")
            await self._shake(self.agents[backend][int(number)], event)
        elif kind in (Kind.KILL_SOURCE, Kind.FREEZE_SOURCE, Kind.TERM_SOURCE):
            self.source_kills += kind is Kind.KILL_SOURCE
            await self._shake(self.source, event)
        elif kind is Kind.JOIN:
            self._new_agent(event.target).start()
        elif kind is Kind.LEAVE:
            await self._leave(event)
        elif kind is Kind.CLOCK_STEP:
            stepped.step(self._clock, event.amount)
        elif kind is Kind.POISON:
            await self.poisoner.put(event)
        else:
            await self._break_broker(event)

    async def _shake(self, slot: Slot, event: Event) -> None:
        async with slot.lock:
            if not slot.alive():
                return
            if event.kind in (Kind.KILL_AGENT, Kind.FREEZE_AGENT):
                self._disrupted(event.target.split("/")[0], event.lasts_s if event.kind is Kind.FREEZE_AGENT else 0.0)
            if event.kind in (Kind.FREEZE_AGENT, Kind.FREEZE_SOURCE):
                slot.process.signal(signal.SIGSTOP)
                await asyncio.sleep(event.lasts_s)
                slot.process.signal(signal.SIGCONT)
                return
            if event.kind is Kind.TERM_SOURCE:
                await self._going()
            slot.at_work = False
            if event.kind in (Kind.KILL_AGENT, Kind.KILL_SOURCE):
                slot.process.kill9()
            else:
                slot.process.terminate()
                await self._ended(slot)
            await asyncio.sleep(event.lasts_s)
            slot.start()

    def _disrupted(self, backend: str, lasts_s: float) -> None:
        """From now on, for so long, what was delivered may not be committed."""
        began_s = time.monotonic()
        self.disruptions[backend].append(Disruption(began_s, began_s + lasts_s))

    async def _leave(self, event: Event) -> None:
        """An agent goes for good; when it is the only one, it comes back after a while."""
        slots = [slot for slot in self.agents[event.target] if slot.alive()]
        if not slots:
            return
        slot = slots[-1]
        async with slot.lock:
            if not slot.alive():
                return
            slot.at_work = False
            slot.process.terminate()
            await self._ended(slot)
            if len(slots) == 1:
                await asyncio.sleep(event.lasts_s)
                slot.start()

    async def _ended(self, slot: Slot) -> None:
        process = slot.process.process
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise Broken(f"{slot.name} does not end after SIGTERM:\n{slot.process.log_text[-3000:]}")
            await asyncio.sleep(0.05)
        code = slot.process.wait()
        # Until Python has begun, nobody answers SIGTERM but the kernel.
        unborn = code == -signal.SIGTERM and "listening on" not in slot.log
        if code and not unborn:
            self.unexpected.append(f"{slot.name} ended with {code} after SIGTERM: {slot.process.log_text[-1500:]}")

    async def _break_broker(self, event: Event) -> None:
        broker = self._broker
        assert broker is not None, "a plan that breaks the broker has one of its own"
        for name in BACKENDS:
            self._disrupted(name, event.lasts_s + BROKER_BACK_S)
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
                self.unexpected.append("the broker lives on with a full disk")
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

    # How it goes on, and ends.

    async def keep_alive(self) -> None:
        """Start agents again that ended by themselves, as an orchestrator would, until it is cancelled."""
        while True:
            for slots in self.agents.values():
                for slot in slots:
                    if slot.at_work and not slot.lock.locked() and slot.process.process.poll() is not None:
                        slot.deaths += 1
                        self._disrupted(slot.name.split("/")[0], 0.0)
                        code = slot.process.process.returncode
                        if not self.plan.breaks_broker:
                            self.unexpected.append(f"{slot.name} ended with {code}: {slot.process.log_text[-3000:]}")
                        slot.process.wait()
                        slot.start()
            await asyncio.sleep(0.1)

    async def end_source(self) -> None:
        """Let it give what it has begun, and end."""
        async with self.source.lock:
            await self._going()
            self.source.at_work = False
            self.source.process.terminate()
            await self._ended(self.source)

    async def end_agents(self) -> None:
        """SIGTERM to all at once; each must end with 0."""
        left = [slot for slots in self.agents.values() for slot in slots if slot.alive()]
        for slot in left:
            slot.at_work = False
            slot.process.terminate()
        for slot in left:
            await self._ended(slot)

    def heal(self) -> None:
        """All troubles of the backends are over."""
        for backend in self.backends.values():
            backend.heal()

    async def _ready(self, slot: Slot) -> None:
        await self._until(f"{slot.name} to listen", slot.process._address, slot)
        deadline = time.monotonic() + PATIENCE_S
        while (await asyncio.to_thread(slot.process.get, "/-/ready"))[0] != 200:
            if time.monotonic() > deadline:
                raise Broken(f"{slot.name} is not ready:\n{slot.process.log_text}")
            await asyncio.sleep(0.05)

    async def _until(self, what: str, condition: object, slot: Slot) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():  # type: ignore[operator]
            if time.monotonic() > deadline or slot.process.process.poll() is not None:
                raise Broken(f"waited in vain for {what}:\n{slot.process.log_text[-3000:]}")
            await asyncio.sleep(0.03)
