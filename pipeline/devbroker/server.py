"""The real Apache Kafka as a child process: one KRaft node on 127.0.0.1 whose data stays in a folder.

Owns: the process and its files. Does not own: starting it again when it ends (`roles/kafka_keeper.py` does).
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import logging
import signal
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.children.child import SpawnFailed, spawn
from pipeline.devbroker import ports as portbook
from pipeline.devbroker import warm
from pipeline.devbroker.install import Installation, cache_dir, install
from pipeline.devbroker.properties import LOG4J, LOG_NAME, server_properties
from pipeline.devbroker.protocol import ask
from topics.errors import BrokerFailed

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_START_S = 60.0
_STOP_S = 8.0
_POLL_S = 0.05
_LOCK_S = 10.0
_PORT_TRIES = 3
_TAIL_LINES = 25
_TAIL_BYTES = 16 * 1024
_TAKEN = "Address already in use"


class EmbeddedKafka:
    """`await start()`, then `await stop()`; or `kill()`, after which `start()` recovers what was acknowledged."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        java: str | None = None,
        heap_mb: int = 320,
        properties: Mapping[str, str] = MappingProxyType({}),
        installation: Installation | None = None,
        java_flags: Sequence[str] | None = None,
    ) -> None:
        """`port` 0: a free one, the same again for the same folder. `java`: see install.py. `properties`: Kafka's.

        `installation` and `java_flags` are for the making of the class cache (warm.py).
        """
        self._dir = data_dir.absolute()
        self._data = self._dir / "data"
        self._logs = self._dir / "logs"
        self._port = port
        self._java = java
        self._heap_mb = heap_mb
        self._properties = dict(properties)
        self._installation = installation
        self._java_flags = java_flags
        self._process: asyncio.subprocess.Process | None = None
        self.brokers = ""

    @property
    def pid(self) -> int | None:
        """The broker's process, None when there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> str:
        """Start it and wait until it answers; "127.0.0.1:PORT". At the first time it is downloaded.

        Raises BrokerFailed with the end of its log. Cancelling kills what was started.
        """
        if self._process is not None:
            if self.pid is not None and await ask(int(self.brokers.rpartition(":")[2] or 0)):
                return self.brokers
            self.kill()
            await self._process.wait()
        try:
            installation = self._installation
            if installation is None:
                installation = await asyncio.to_thread(install, self._java)
            if self._java_flags is None:
                cache = await warm.ensure(installation, cache_dir())
                self._java_flags = warm.use(cache) if cache else ()
            for folder in (self._data, self._logs):
                folder.mkdir(parents=True, exist_ok=True)
            await self._wait_for_lock()
            return await self._start(installation)
        except (OSError, SpawnFailed) as error:
            raise BrokerFailed(f"the embedded Kafka in {self._dir} does not start: {error}") from error
        except BaseException:
            self.kill()
            raise

    async def _start(self, installation: Installation) -> str:
        note = self._dir / "ports.json"
        remembered = portbook.recall(note)
        for attempt in range(_PORT_TRIES):
            ports = portbook.choose(remembered, self._port)
            if not portbook.is_free(ports.broker):
                raise BrokerFailed(f"port {ports.broker} on 127.0.0.1 is taken: give another with --kafka.port, or 0")
            self._write_files(ports)
            if not (self._data / "meta.properties").exists():
                await self._format(installation)
            if await self._launch(installation, ports):
                portbook.note(note, ports)
                self.brokers = f"127.0.0.1:{ports.broker}"
                return self.brokers
            if _TAKEN not in self._tail() or attempt == _PORT_TRIES - 1:
                break
            remembered = None
        raise BrokerFailed(f"the embedded Kafka in {self._dir} does not start. The end of its log:\n{self._tail()}")

    def _write_files(self, ports: portbook.Ports) -> None:
        text = server_properties(ports.broker, ports.controller, self._data, self._properties)
        (self._dir / "server.properties").write_text(text)
        (self._dir / "log4j2.properties").write_text(LOG4J)

    def _command(self, installation: Installation, heap_mb: int, main_class: str, *arguments: str) -> list[str]:
        return [
            str(installation.java),
            f"-Xmx{heap_mb}m",
            # A short life on few cores: the quick compiler and the plain collector start it a second sooner.
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            "-Djava.net.preferIPv4Stack=true",
            *(self._java_flags or ()),
            f"-Dheadrace.logs={self._logs}",
            f"-Dlog4j2.configurationFile={self._dir / 'log4j2.properties'}",
            "-cp",
            installation.classpath,
            main_class,
            *arguments,
        ]

    async def _format(self, installation: Installation) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        config = str(self._dir / "server.properties")
        arguments = ("format", "--ignore-formatted", f"--cluster-id={cluster_id}", f"--config={config}")
        process = await self._run(self._command(installation, 64, "kafka.tools.StorageTool", *arguments))
        if await process.wait():
            raise BrokerFailed(f"the folder {self._data} cannot be formatted for Kafka:\n{self._tail()}")

    async def _run(self, argv: list[str]) -> asyncio.subprocess.Process:
        (self._logs / LOG_NAME).write_text("")  # what the next error shows is of this start
        with (self._logs / "stdout.log").open("wb") as output:
            self._process = await spawn(argv, stdout=output, stderr=output)
        return self._process

    async def _launch(self, installation: Installation, ports: portbook.Ports) -> bool:
        """Start the broker; True when it answers, False when it has ended by itself."""
        config = str(self._dir / "server.properties")
        process = await self._run(self._command(installation, self._heap_mb, "kafka.Kafka", config))
        wanted, me = self._cluster_id(), f"127.0.0.1:{ports.broker}"
        try:
            async with asyncio.timeout(_START_S):
                while process.returncode is None:
                    cluster = await ask(ports.broker)
                    # Its own cluster id: on a port of others, others answer. Itself in the list: it takes records.
                    if cluster is not None and cluster.cluster_id == wanted and me in cluster.brokers:
                        return True
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            self.kill()
            text = f"the embedded Kafka in {self._dir} gives no answer for {_START_S:g} s. The end of its log:\n"
            raise BrokerFailed(text + self._tail()) from None
        return False

    def _cluster_id(self) -> str:
        for line in (self._data / "meta.properties").read_text().splitlines():
            key, _, value = line.partition("=")
            if key == "cluster.id":
                return value.strip()
        raise BrokerFailed(f"{self._data / 'meta.properties'} names no cluster.id: it is not Kafka's; move it away")

    async def _wait_for_lock(self) -> None:
        """Wait for a broker that was killed a moment ago to let go of the folder."""
        lock = self._data / ".lock"
        if not lock.exists():
            return
        for _ in range(int(_LOCK_S / _POLL_S)):
            with lock.open("r+b") as file:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Java's FileLock is this kind
                    return
                except OSError:
                    pass
            await asyncio.sleep(_POLL_S)
        raise BrokerFailed(f"another Kafka is running on {self._dir}: stop it, or give another --storage.path")

    async def stop(self, deadline_s: float = _STOP_S) -> None:
        """Ask it to end, kill it after `deadline_s`. Nothing to do when it is not running. Cancelling kills it."""
        process = self._process
        if process is None:
            return
        try:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(deadline_s):
                await process.wait()
        except TimeoutError:
            log.warning("the embedded Kafka has not stopped after %g s: killed", deadline_s)
            self.kill()
            await process.wait()
        except asyncio.CancelledError:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once, as a power cut would; what was acknowledged is on the disk's queue and comes back."""
        if self.pid is not None and self._process is not None:
            self._process.send_signal(signal.SIGKILL)

    def _tail(self) -> str:
        """The end of what it said, its log and its output, at most a screenful."""
        lines: list[str] = []
        for file in (self._logs / "stdout.log", self._logs / LOG_NAME):
            try:
                lines += file.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").splitlines()[-_TAIL_LINES:]
            except OSError:
                continue
        return "\n".join(lines) or "(nothing was written)"
