"""The backends of the demo: our own sinks always, Prometheus and VictoriaMetrics where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.demo.program import HEADRACE, Program, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.web.peek import Peek

_START_S = 30.0
_HELP_S = 5.0


class Backend(Protocol):
    """What metrics are written to. Its port is chosen when it is made, so that the files can name it before it runs."""

    @property
    def name(self) -> str:
        """As in remote_write."""

    @property
    def program(self) -> Program:
        """Its process."""

    @property
    def write_url(self) -> str:
        """Where remote write goes."""

    async def start(self, peek: Peek) -> None:
        """Start it and wait until it answers. Raises DemoFailed, SpawnFailed."""


class Sink:
    """One `headrace sink`. Stopped and started again it listens on the same port and goes on from its journal."""

    def __init__(self, name: str, folder: Path, logs: Path) -> None:
        self.name = name
        self.address = f"127.0.0.1:{free_port()}"
        self._address_file = folder / f"{name}.address"
        self._journal = folder / f"{name}.journal"
        self.program = Program(name, (), logs / f"{name}.log")

    @property
    def write_url(self) -> str:
        """Where remote write goes."""
        return f"http://{self.address}/api/v1/write"

    @property
    def push_url(self) -> str:
        """Where log lines go."""
        return f"http://{self.address}/loki/api/v1/push"

    async def start(self, peek: Peek) -> None:
        """Start it, at the address that it had before."""
        self._address_file.unlink(missing_ok=True)
        self.program.argv = (
            *(*HEADRACE, "sink", "--sequence-key=seq", f"--journal={self._journal}"),
            *(f"--web.listen-address={self.address}", f"--web.address-file={self._address_file}"),
        )
        await self.program.start()
        await self.program.until("its address", self._read_address, _START_S)

    async def _read_address(self) -> str | None:
        return self._address_file.read_text().strip() or None if self._address_file.exists() else None

    async def report(self, peek: Peek) -> dict[str, Any]:
        """What it has; empty while it is stopped."""
        return await peek.json(self.address, "/api/v1/report") if self.program.running else {}

    async def counts(self, peek: Peek) -> dict[tuple[tuple[str, str], ...], int]:
        """How many different samples it has of each series."""
        listed = await peek.json(self.address, "/api/v1/series?limit=1000000")
        return {
            tuple(sorted(one["labels"].items())): one["count"] - one["duplicates"] for one in listed.get("series", ())
        }


@dataclass
class Installed:
    """A real backend found on PATH. `arguments` may hold `{port}` and `{folder}`.

    `shows_stale_markers`: whether a query shows the markers at the end of a series among its samples.
    """

    name: str
    binary: str
    arguments: tuple[str, ...]
    ready_path: str
    shows_stale_markers: bool
    folder: Path
    program: Program = field(init=False)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.program = Program(self.name, (), self.folder.parent / "logs" / f"{self.name}.log")

    @property
    def write_url(self) -> str:
        """Where remote write goes."""
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    @property
    def address(self) -> str:
        """Its pages."""
        return f"127.0.0.1:{self.port}"

    async def start(self, peek: Peek) -> None:
        """Start it and wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "prometheus.yml").write_text("global: {}\n")
        arguments = [argument.format(port=self.port, folder=self.folder) for argument in self.arguments]
        self.program.argv = (self.binary, *arguments)
        await self.program.start()

        async def ready() -> bool | None:
            status, _ = await peek.get(self.address, self.ready_path)
            return True if status == 200 else None

        await self.program.until(self.ready_path, ready, _START_S)

    async def samples(self, peek: Peek) -> int | None:
        """How many samples a query finds; None when it does not say."""
        # As it is stored: functions such as count_over_time drop the name, and then series fall together.
        answer = await peek.json(self.address, "/api/v1/query?query=%7B__name__%3D~%22.%2B%22%7D%5B1h%5D")
        if answer.get("status") != "success":
            return None
        return sum(len(series["values"]) for series in answer["data"]["result"])


def installed(folder: Path) -> list[Installed]:
    """The real backends that this machine has."""
    known = (
        ("prometheus", "prometheus", "/-/ready", False,
         ("--config.file={folder}/prometheus.yml", "--storage.tsdb.path={folder}/data", "--log.level=warn",
          "--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver")),
        ("victoriametrics", "victoria-metrics", "/health", True,
         ("-storageDataPath={folder}/data", "-httpListenAddr=127.0.0.1:{port}", "-memory.allowedBytes=64MB",
          "-search.latencyOffset=0s", "-search.disableCache")),
    )  # fmt: skip
    return [
        Installed(name, binary, arguments, ready_path, shows_stale_markers, folder / name)
        for name, command, ready_path, shows_stale_markers, arguments in known
        if (binary := shutil.which(command)) is not None and _knows(binary, arguments[-1])
    ]


def _knows(binary: str, argument: str) -> bool:
    """Whether the program has this flag: an old version, or another program of that name, is left out."""
    try:
        answer = subprocess.run([binary, "--help"], capture_output=True, timeout=_HELP_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return argument.partition("=")[0].lstrip("-").encode() in answer.stdout + answer.stderr
