"""A role that does nothing, as a process: `python -m tests.unit.lifecycle.fake_role MODE --web.…`."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import click
from aiohttp import web

from pipeline.lifecycle.main import leave, serve
from pipeline.lifecycle.options import RoleOptions, role_options
from pipeline.telemetry.metrics import Telemetry
from topics.errors import ConfigError, KafkaUnavailable, Problem


class FakeRole:
    def __init__(self, name: str, mode: str, config: Path) -> None:
        self.name = name
        self.mode = mode
        self.config = config
        self.text = config.read_text()
        self.drained = False

    async def run(self, stop: asyncio.Event) -> None:
        if self.mode == "fails":
            raise KafkaUnavailable("no broker answers at 127.0.0.1:1")
        if self.mode == "bug":
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._bug())
        if self.mode == "ends":
            return
        await stop.wait()
        print("draining", flush=True)
        if self.mode == "hangs":
            await asyncio.Event().wait()
        if self.mode == "stubborn":
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    pass
        if self.mode == "stuck":
            time.sleep(60)
        if self.mode == "resolver":
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
            await asyncio.sleep(0)
        print("drained", flush=True)

    async def _bug(self) -> None:
        raise KeyError("what")

    async def reload(self) -> None:
        text = self.config.read_text()
        if "broken" in text:
            raise ConfigError([Problem("f.yml", n, f"key{n}", "is wrong", "mend it") for n in (1, 2)])
        if "crash" in text:
            raise RuntimeError("reload crashed")
        self.text = text

    def ready(self) -> tuple[bool, str]:
        if self.mode == "misses":
            return True, "idle: Kafka is away: no answer from k:9092 for 9 s"
        return ("waiting" not in self.text, "waiting for Kafka" if "waiting" in self.text else "")

    def status(self) -> dict[str, Any]:
        return {"targets": [], "mode": self.mode}

    def routes(self) -> list[Any]:
        return [web.get("/targets", self._targets)]

    async def _targets(self, _request: Any) -> Any:
        return web.Response(text="targets")

    def config_text(self) -> str:
        return self.text


@click.command()
@click.argument("mode")
@click.option("--name", default="scraper")
@role_options("scraper")
def command(options: RoleOptions, mode: str, name: str) -> None:
    options.setup_logging(name)
    service = FakeRole(name, mode, options.config_file)
    leave(
        serve(
            service,
            telemetry=Telemetry(),
            listen_address=options.listen_address,
            address_file=options.address_file,
            deadline_s=options.deadline_s,
        )
    )


if __name__ == "__main__":
    sys.exit(command())
