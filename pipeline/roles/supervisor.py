"""`headrace run`: everything on one machine, in processes of their own, watched by this one.

Owns the order of starting (Kafka, topics, children) and of stopping (sources, agents, Kafka; the web server goes last).
What a child is lives in `role_process`, which children there are in `plan`, what people see in `run_view`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pipeline.config.load import load
from pipeline.config.render import rendered
from pipeline.roles.door import AWAY
from pipeline.roles.family import Family
from pipeline.roles.plan import Common, Stage, plan
from pipeline.roles.role_process import RoleProcess
from pipeline.roles.run_view import RunView
from pipeline.roles.storage import instance_id
from topics.errors import ConfigError, KafkaUnavailable, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from pipeline.clock import Clock
    from pipeline.config.root import Config
    from pipeline.lifecycle.options import RoleOptions
    from pipeline.roles.kafka_keeper import KafkaKeeper
    from pipeline.roles.plan import ChildSpec
    from pipeline.telemetry.metrics import Telemetry
    from pipeline.telemetry.outlet import Outlet
    from pipeline.web.peek import Peek

log = logging.getLogger(__name__)

# The parts of the 15 s within which a run ends. A child hears its part less the margin, so that it can still say what
# it cut; then it is killed.
STOP_S = {Stage.SOURCE: 4.0, Stage.AGENT: 5.0}
KAFKA_STOP_S = 3.0
DEADLINE_S = 13.0
_MARGIN_S = 0.75
_TOPICS_PAUSE_S = 1.0
_FIXED = ("kafka", "topics", "producer", "logs.positions.filename")  # what a role is started with, for its life
_TOPICS_SAY_EVERY_S = 30.0


class Supervisor:
    """The service "run". Build with a loaded configuration; `keeper` is None when brokers were given."""

    name = "run"

    def __init__(
        self,
        config: Config,
        options: RoleOptions,
        *,
        keeper: KafkaKeeper | None,
        ensure_topics: Callable[[Config, str, tuple[str, ...]], Awaitable[None]],
        peek: Peek,
        telemetry: Telemetry,
        clock: Clock,
        outlet: Outlet,
        make_plan: Callable[[Config, Common], dict[str, ChildSpec]] = plan,
    ) -> None:
        """`ensure_topics(config, prefix, brokers)` makes or verifies the topics; KafkaUnavailable is tried again."""
        self._config = config
        self._options = options
        self._keeper = keeper
        self._ensure_topics = ensure_topics
        self._peek = peek
        self._telemetry = telemetry
        self._clock = clock
        self._outlet = outlet
        self._make_plan = make_plan
        self._brokers = options.brokers or config.kafka.brokers
        self._prefix = config.kafka.prefix if options.prefix is None else options.prefix
        self._waiting_for = "starting"
        self._family = Family(self._child, STOP_S)
        self._view = RunView(self._family, peek, telemetry)

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, wait for `stop`, end everything in the order of the flow.

        Raises TopicMismatch and BrokerFailed (the embedded Kafka's first start).
        """
        async with self._peek, asyncio.TaskGroup() as tasks:
            try:
                if not await _unless(stop, self._start_kafka()):
                    return
                keeping = tasks.create_task(self._keeper.run(), name="Kafka") if self._keeper is not None else None
                try:
                    await self._flow(stop)
                finally:
                    if keeping is not None:
                        keeping.cancel()
            finally:
                if self._keeper is not None:
                    await self._keeper.stop(KAFKA_STOP_S)

    async def _flow(self, stop: asyncio.Event) -> None:
        """The topics, then the children, until `stop`."""
        if not await _unless(stop, self._topics()):
            return
        async with self._family:
            try:
                await self._family.follow(self._plan(self._config))
                self._waiting_for = ""
                await stop.wait()
            finally:
                began = time.monotonic()
                await self._family.stop()
                log.info("children stopped after %.1f s", time.monotonic() - began)

    async def reload(self) -> None:
        """Read the files again. Raises ConfigError, and then nothing has changed."""
        config = load(self._options.config_file, promtail_file=self._options.promtail_file)
        self._refuse_what_cannot_change(config)
        self._config = config
        if self._waiting_for:  # the children are still to come, and will read the new file
            return
        said = await self._family.follow(self._plan(config))
        if said:
            raise ConfigError([Problem(str(self._options.config_file), 0, "", text, "") for text in said])

    def ready(self) -> tuple[bool, str]:
        """Ready when Kafka, the topics and every child are; a backend that is down is no reason against it."""
        reasons = [self._waiting_for] if self._waiting_for else []
        if self._keeper is not None and self._keeper.reason and self._keeper.reason not in reasons:
            reasons.append(self._keeper.reason)
        reasons += [f"{child.name}: {child.state.reason}" for child in self._family.members if not child.state.ready]
        return not reasons, "; ".join(reasons) or self._away

    async def status(self) -> dict[str, Any]:
        """The run and, by name, every child with its own status."""
        return await self._view.status(self._kafka_status())

    async def metrics(self) -> bytes:
        """Our own metrics and those of every child, labelled with role and backend."""
        return await self._view.metrics()

    def routes(self) -> list[web.RouteDef]:
        """The status page."""
        return self._view.routes(self.ready, self._kafka_status)

    def config_text(self) -> str:
        """The configuration in force, secrets as ``<secret>``."""
        return rendered(self._config)

    def _kafka_status(self) -> dict[str, Any]:
        keeper = self._keeper
        return {
            "brokers": list(self._brokers),
            "prefix": self._prefix,
            "embedded": keeper is not None,
            "pid": keeper.pid if keeper is not None else 0,
            "restarts": keeper.restarts if keeper is not None else 0,
            "reason": (keeper.reason if keeper is not None else "") or self._away,
        }

    @property
    def _away(self) -> str:
        """What the first child that misses Kafka says of it; the others miss the same."""
        said = (child.state.reason.partition(AWAY) for child in self._family.members if child.state.ready)
        return next((f"{AWAY}{words}" for _, found, words in said if found), "")

    def _child(self, spec: ChildSpec) -> RoleProcess:
        return RoleProcess(spec, peek=self._peek, telemetry=self._telemetry, clock=self._clock, outlet=self._outlet)

    def _plan(self, config: Config) -> dict[str, ChildSpec]:
        options = self._options
        specs = self._make_plan(
            config,
            Common(
                config_file=options.config_file,
                promtail_file=options.promtail_file,
                brokers=self._brokers,
                prefix=self._prefix,
                storage=options.storage,
                instance_id=instance_id(options.storage),
                log_level=options.log_level,
                log_format=options.log_format,
                stop_s={stage: seconds - _MARGIN_S for stage, seconds in STOP_S.items()},
            ),
        )
        if not specs:
            log.warning("%s configures nothing to scrape, to tail or to deliver to", options.config_file)
        return specs

    async def _start_kafka(self) -> None:
        if self._keeper is not None:
            self._waiting_for = "the embedded Kafka is starting"
            self._brokers = (await self._keeper.start(),)

    async def _topics(self) -> None:
        """Make or verify the topics, for as long as it takes. Raises TopicMismatch."""
        where = ",".join(self._brokers)
        self._waiting_for = f"waiting for Kafka at {where}"
        said_at = float("-inf")
        while True:
            try:
                await self._ensure_topics(self._config, self._prefix, self._brokers)
            except KafkaUnavailable as error:
                self._waiting_for = f"waiting for Kafka at {where}: {error}"
                if self._clock.monotonic() - said_at >= _TOPICS_SAY_EVERY_S:
                    log.warning("waiting for Kafka at %s: %s", where, error)
                    said_at = self._clock.monotonic()
                await self._clock.sleep(_TOPICS_PAUSE_S)
                continue
            self._waiting_for = "the children are starting"
            return

    def _refuse_what_cannot_change(self, config: Config) -> None:
        file, remedy = str(self._options.config_file), "restart `headrace run` to apply it"
        problems = [
            Problem(file, 0, section, "cannot change while running", remedy)
            for section in _FIXED
            if attrgetter(section)(config) != attrgetter(section)(self._config)
        ]
        if problems:
            raise ConfigError(problems)


async def _unless(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Do `work`, unless `stop` is set before it is done; False then, and the work was cancelled."""
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(_finish(work))
        stopping = tasks.create_task(stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        done = working.done()
        working.cancel()
        stopping.cancel()
    return done


async def _finish(work: Awaitable[None]) -> None:
    await work
