"""The agent as a role: waits for Kafka, owns the Faust app, exchanges the delivery at a reload, drains at the end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web

from agents.backfill import backfill as backfills
from agents.backfill.backfill import Backfill
from agents.backfill.reader import PastReader
from agents.consumer import start_offset
from agents.consumer.app import agent_topics, create_app, dead_letter_sender, register
from agents.consumer.gauges import Gauges
from agents.consumer.intake import Intake
from agents.consumer.lookout import Lookout
from agents.delivery import delivery as deliveries
from agents.delivery.deadletter import DeadLetters
from agents.delivery.describe import Describer
from agents.lanes.lane import State, overall
from agents.ledger.commits import Commits
from agents.ledger.ledger import Ledger
from agents.loading import named
from pipeline.clients.families import Families
from pipeline.config.render import rendered
from pipeline.heap import LARGE_BYTES, Heap
from pipeline.lifecycle.kafka_settings import security
from pipeline.web import ledger as ledger_page
from pipeline.web.pages import page
from topics import admin
from topics.definitions import TopicNames, group
from topics.errors import ConfigError, HeadraceError, KafkaUnavailable, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.consumer.app import AgentApp
    from agents.delivery.delivery import Delivery
    from pipeline.clock import Clock
    from pipeline.config.backends import Backend
    from pipeline.config.root import Config
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

PACE_S = 0.2
DRAIN_S = 3.0
WATCH_S = 0.5
MEASURE_S = 1.0
RETRY_S = 1.0


class AgentFailed(HeadraceError):
    """The agent cannot go on in this process. Nothing was committed that was not delivered; a new process goes on."""

    retriable = True


class AgentRole:
    """The service "agent:<backend>"."""

    def __init__(
        self,
        name: str,
        load: Callable[[], Config],
        *,
        telemetry: Telemetry,
        clock: Clock,
        instance_id: str = "",
        stop_s: float = 12.0,
    ) -> None:
        """`load` reads the configuration; raises ConfigError, here and at each reload. `name` is the backend's.

        `stop_s`: the process's deadline from being told to stop to its end.
        """
        self._instance_id = instance_id
        # What is left below the deadline is for cutting, and for the process around this role.
        self._stop_s = max(stop_s * 0.8, stop_s - 2.0)
        self._load = load
        self._telemetry = telemetry
        self._clock = clock
        self._config = load()
        self._backend = named(self._config, name)
        self._commits = Commits()
        self._ledger = Ledger(telemetry, name, commits=self._commits, clock=clock)
        self._gauges = Gauges(telemetry, name)
        self._lookout = Lookout(self._backend, self._config.kafka, telemetry, clock)
        self._families = Families(clock)
        self._app: AgentApp | None = None
        self._intake: Intake | None = None
        self._backfill: Backfill | None = None
        self._waiting_for = f"waiting for Kafka at {self._brokers}"

    @property
    def name(self) -> str:
        """The role and its backend."""
        return f"agent:{self._backend.name}"

    @property
    def _brokers(self) -> str:
        return ",".join(self._config.kafka.brokers)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop`, then drain. Raises AgentFailed when Faust or the agent fails; TopicMismatch."""
        if not await self._kafka(stop):
            return
        app = self._app = create_app(
            self._backend,
            self._config.kafka,
            self._config.topics,
            instance_id=self._instance_id,
            commits=self._commits,
        )
        self._dead_letters = DeadLetters(
            dead_letter_sender(app, self._config.kafka, self._backend), self._backend.name, self._clock
        )
        delivery = self._new_delivery(self._backend)
        await delivery.open()
        intake = self._intake = Intake(
            app, delivery, self._clock, pace_s=PACE_S, drain_s=min(DRAIN_S, self._stop_s / 3)
        )
        backfill = intake.backfill = self._backfill = self._new_backfill(intake)
        register(app, self._config.kafka, self._backend, intake.run)
        try:
            async with asyncio.TaskGroup() as tasks:
                start = tasks.create_task(app.start(), name="start of the Faust app")
                describer = Describer(self._backend.name, self._families, self._clock, lambda: intake.delivery)
                describe = tasks.create_task(describer.run(), name="metadata of metrics")
                fill = tasks.create_task(backfill.run(), name="backfill")
                await self._watch(app, intake, backfill, stop)
                await backfill.finish(min(DRAIN_S, self._stop_s / 3))
                backfill.end()
                fill.cancel()
                describe.cancel()
                start.cancel()
        finally:
            await self._end(app, intake)

    async def reload(self) -> None:
        """Rules, client and bounds take effect with the next batch; Kafka and topics need a restart."""
        config = self._load()
        backend = named(config, self._backend.name)
        fixed = (
            ("kafka", self._config.kafka, config.kafka),
            ("topics", self._config.topics, config.topics),
            ("kind", self._backend.kind, backend.kind),
        )
        remedy = "this takes effect when the process is started again"
        problems = [Problem("", 0, path, "changed", remedy) for path, old, new in fixed if old != new]
        if problems:
            raise ConfigError(problems)
        changed = backend.settings != self._backend.settings
        moved = backend.redacted_url != self._backend.redacted_url
        self._config, self._backend = config, backend
        if self._intake is not None and changed:
            old = self._intake.delivery
            new = self._new_delivery(backend)
            await new.open()
            self._intake.delivery = new
            if moved:
                old.instruments.forget()
            if self._backfill is not None:
                self._backfill.policy = backfills.policy(backend.settings)
            self._intake.interrupt_waiting()
            await old.close()

    def ready(self) -> tuple[bool, str]:
        """Ready while it takes part in its group, also when the backend is away: Kafka holds the data."""
        if self._intake is None or not self._intake.assigned:
            return False, self._waiting_for
        state, reason, _ = self._overall()
        return True, f"{state}: {reason}" if reason else ""

    def status(self) -> dict[str, Any]:
        """State, lag and the ledger of the backend and of each partition."""
        lanes = {tp.partition: lane for tp, lane in self._intake.lanes.items()} if self._intake else {}
        state, reason, since = self._overall()
        numbers = sorted(self._ledger.partitions)
        return {
            "backend": self._backend.name,
            "kind": str(self._backend.kind),
            "url": self._backend.redacted_url,
            "state": str(state),
            "state_reason": reason,
            "state_since": since,
            "lag_records": sum(self._gauges.lag.values()),
            # Of a partition that was dealt to us since the last measurement nobody knows the lag.
            "lag_measured": self._gauges.measured_s if self._gauges.lag.keys() >= set(numbers) else 0.0,
            "oldest_pending_s": self._gauges.oldest_s,
            "retention_used": self._lookout.expiry.used,
            "backfill": self._backfill.status() if self._backfill else {},
            "ledger": self._ledger.summary(),
            "partitions": {
                str(number): {
                    "lag_records": self._gauges.lag.get(number, 0),
                    "state": str(lanes[number].state) if number in lanes else str(State.IDLE),
                    "reason": lanes[number].reason if number in lanes else "",
                    "ledger": self._ledger.partition(number).summary(),
                }
                for number in numbers
            },
        }

    def _overall(self) -> tuple[str, str, float | None]:
        """The backend's state, and Kafka's where the backend has nothing to say."""
        lanes = [*self._intake.lanes.values()] if self._intake else []
        state, reason, since = overall(lanes + (self._backfill.lanes if self._backfill else []))
        away = self._away
        if away and state in (State.IDLE, State.DELIVERING):
            return "waiting", away, None
        return str(state), f"{reason}; {away}" if away else reason, since

    @property
    def _away(self) -> str:
        return self._app.transport.contact.away if self._app is not None else ""

    def routes(self) -> list[web.RouteDef]:
        """Its ledger for people."""

        async def show(_request: web.Request) -> web.Response:
            links = (("/config", "config"), ("/metrics", "metrics"), ("/api/v1/status", "status"))
            return page(
                "ledger.html.j2", heading=f"headrace {self.name}", links=links, **ledger_page.view([self.status()])
            )

        return [web.get("/ledger", show)]

    def config_text(self) -> str:
        """The whole configuration, secrets hidden."""
        return rendered(self._config)

    async def _kafka(self, stop: asyncio.Event) -> bool:
        """Wait until Kafka answers and the topics are there as configured; False when `stop` came first."""
        specs = agent_topics(self._config.kafka, self._config.topics, self._backend)
        said = ""
        while not stop.is_set():
            try:
                await admin.ensure(self._brokers, specs, security=security(self._config.kafka))
                await self._begin()
                return True
            except KafkaUnavailable as error:
                self._waiting_for = f"waiting for Kafka at {self._brokers}: {error}"
                if self._waiting_for != said:
                    log.warning("%s; trying again", self._waiting_for)
                said = self._waiting_for
            await self._stopped_within(stop, RETRY_S)
        return False

    async def _begin(self) -> None:
        """Where a backend starts that has never had anything. Raises KafkaUnavailable."""
        kafka = self._config.kafka
        await start_offset.apply(
            self._backend.settings.start_from,
            group=group(kafka.prefix, self._backend.name),
            topic=TopicNames(kafka.prefix).data(self._backend.kind),
            brokers=kafka.brokers,
            security=security(kafka),
            clock=self._clock,
        )

    async def _watch(self, app: AgentApp, intake: Intake, backfill: Backfill, stop: asyncio.Event) -> None:
        """Until `stop`: keep the gauges, and look whether anything crashed: with a main of our own nobody else does."""
        self._waiting_for = f"joining the consumer group {app.conf.id}"
        measure_at = 0.0
        heap = Heap(self._clock)
        told = False
        while not await self._stopped_within(stop, WATCH_S):
            failure = intake.failure or backfill.failure
            if failure is not None:
                raise AgentFailed(f"partition work failed: {failure!r}") from failure
            if app.crashed:
                raise AgentFailed(f"the Kafka consumer failed: {app.crash_reason!r}")
            if bool(self._away) != told:
                told = not told
                log.warning("%s; waiting", self._away) if told else log.info("Kafka answers again")
            if intake.assigned and not told and self._clock.monotonic() >= measure_at:
                measure_at = self._clock.monotonic() + MEASURE_S
                heap.used(LARGE_BYTES)  # bodies are large, and gone by now
                await intake.leap_over_trouble()
                await self._gauges.measure(app, intake.lanes, backfill, self._clock)
                instruments = intake.delivery.instruments
                await self._lookout.look(app, intake.lanes, self._commits.positions, backfill.waiting, instruments)

    async def _end(self, app: AgentApp, intake: Intake) -> None:
        """Drain, commit, leave the group; in time. Cut short, it loses nothing: the uncommitted comes again."""
        try:
            async with asyncio.timeout(self._stop_s):
                await app.stop()
        except TimeoutError:
            log.warning("Kafka was not left in good order within %g s", self._stop_s)
        finally:
            intake.cut()
            self._intake = self._app = self._backfill = None
            await intake.delivery.close()

    def _new_backfill(self, intake: Intake) -> Backfill:
        kafka = self._config.kafka
        topic = TopicNames(kafka.prefix).data(self._backend.kind)
        return Backfill(
            self._backend.name,
            lambda: PastReader(topic, kafka.brokers, security(kafka)),
            delivery=lambda: intake.delivery,
            live=lambda: {tp.partition: lane for tp, lane in intake.lanes.items()},
            commits=self._commits,
            ledger=self._ledger,
            policy=backfills.policy(self._backend.settings),
            telemetry=self._telemetry,
            clock=self._clock,
        )

    def _new_delivery(self, backend: Backend) -> Delivery:
        return deliveries.build(
            backend,
            deliveries.external_labels(backend),
            dead_letters=self._dead_letters,
            ledger=self._ledger,
            on_success=lambda lane: self._intake.nudge_others(lane) if self._intake else None,
            telemetry=self._telemetry,
            clock=self._clock,
            families=self._families,
        )

    @staticmethod
    async def _stopped_within(stop: asyncio.Event, delay_s: float) -> bool:
        try:
            async with asyncio.timeout(delay_s):
                await stop.wait()
        except TimeoutError:
            return False
        return True
