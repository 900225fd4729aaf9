"""`headrace run` with children, Kafka and topics that are not real: `python -m tests.unit.roles.fake_run FLAGS`.

Each child is `tests.unit.lifecycle.fake_role`; a backend's name is its mode ("works", "hangs", "fails" …).
`FAKE_KAFKA`: "embedded" (a sleeping process), "down" (never answers), "wrong" (topics of another shape), else fine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys

import click

from pipeline.children.child import spawn
from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.lifecycle.main import leave, serve
from pipeline.lifecycle.options import RoleOptions, role_options
from pipeline.roles.kafka_keeper import KafkaKeeper
from pipeline.roles.plan import ChildSpec, Common, plan
from pipeline.roles.storage import locked
from pipeline.roles.supervisor import Supervisor
from pipeline.telemetry.metrics import Telemetry
from pipeline.web.peek import Peek
from topics.errors import BrokerFailed, HeadraceError, KafkaUnavailable, TopicMismatch

KAFKA = os.environ.get("FAKE_KAFKA", "")


class SleepingKafka:
    """A broker that only exists."""

    def __init__(self, port: int) -> None:
        self.port = port or 4711
        self.process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.returncode is None else None

    async def start(self) -> str:
        if os.path.exists("no-kafka"):
            raise BrokerFailed("it does not want to")
        self.process = await spawn([sys.executable, "-c", "import time; time.sleep(600)"])
        return f"127.0.0.1:{self.port}"

    async def stop(self) -> None:
        print("Kafka stops", flush=True)
        self.kill()
        if self.process is not None:
            await self.process.wait()

    def kill(self) -> None:
        if self.pid and self.process is not None:
            self.process.kill()


def fake_plan(config, common: Common) -> dict[str, ChildSpec]:
    return {name: fake(spec, common) for name, spec in plan(config, common).items()}


def fake(spec: ChildSpec, common: Common) -> ChildSpec:
    mode = spec.backend.partition("-")[0] or "works"
    flags = (f"--name={spec.name}", *common.flags(spec.stage, spec.address_file))
    return dataclasses.replace(spec, argv=(sys.executable, "-m", "tests.unit.lifecycle.fake_role", mode, *flags))


async def ensure_topics(*_given) -> None:
    if KAFKA == "down":
        raise KafkaUnavailable("no broker answers")
    if KAFKA == "wrong":
        raise TopicMismatch("headrace.metrics has 3 partitions, 12 are configured")


@click.command()
@role_options("run")
def command(options: RoleOptions) -> None:
    config = load(options.config_file)
    outlet = options.setup_logging("run")
    telemetry, clock = Telemetry(), SystemClock()
    with locked(options.storage):
        supervisor = Supervisor(
            config,
            options,
            keeper=KafkaKeeper(SleepingKafka, clock) if KAFKA == "embedded" else None,
            ensure_topics=ensure_topics,
            peek=Peek(),
            telemetry=telemetry,
            clock=clock,
            outlet=outlet,
            make_plan=fake_plan,
        )
        code = serve(
            supervisor,
            telemetry=telemetry,
            listen_address=options.listen_address,
            address_file=options.address_file,
            deadline_s=13,
        )
    leave(code)


if __name__ == "__main__":
    try:
        command()
    except HeadraceError as error:
        sys.exit(f"headrace: {error}")
