"""The demo itself: starts everything, plays the outage, waits for calm, judges, and ends what it started."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import orjson

from pipeline.demo.backends import Backend, Installed, Sink, installed
from pipeline.demo.envoy import Envoy
from pipeline.demo.files import LOGS_BACKEND, SCRAPE_INTERVAL_S, Files
from pipeline.demo.program import HEADRACE, DemoFailed, Program
from pipeline.demo.snapshot import Snapshot, Watcher
from pipeline.demo.traffic import Client, Upstream
from pipeline.demo.verdict import Truth, judge
from pipeline.web.peek import Peek

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.clock import Clock
    from pipeline.demo.settings import Settings
    from pipeline.demo.view import View

PODS = (("shop", "cart-6f9d8c7b5-x2x4k"), ("shop", "orders-5c4b7d9f8-q7hzt"))
_LOOK_S = 0.5
_CALM_S = 5 * SCRAPE_INTERVAL_S  # the scraper ends the series of a target that is gone two to three intervals later
_GIVE_UP_S = 3 * _CALM_S
_RUN_STOP_S = 20.0
_QUERY_S = 15.0


class Demo:
    """One showing. `run` plays it once; everything that it started has ended when it returns or raises."""

    def __init__(self, settings: Settings, folder: Path, view: View, clock: Clock) -> None:
        self._settings = settings
        self._view = view
        self._clock = clock
        self._files = Files(folder)
        self._peek = Peek(timeout_s=5.0)
        self._patient_peek = Peek(timeout_s=30.0)  # for queries over everything
        self._upstream = Upstream()
        self._envoys = [Envoy(pod, namespace, self._files.logs, self._files.pods) for namespace, pod in PODS]
        self._sinks = [Sink(name, folder, self._files.logs) for name in ("sink-a", "sink-b")]
        self._real = installed(folder) if settings.real_backends else []
        self._clients: list[Client] = []
        self._watcher = Watcher(self._peek, clock, self._sinks, self._envoys)
        self._run_address_file = folder / "run.address"
        self._run = Program("headrace run", self._run_argv(), self._files.logs / "run.log")
        self._last = Snapshot(0.0)
        self._judged: Snapshot | None = None
        self.peak_behind = 0
        self.notes: list[str] = []
        self.problems: list[str] | None = None  # None: not judged yet

    def _run_argv(self) -> tuple[str, ...]:
        return (
            *(*HEADRACE, "run", f"--config.file={self._files.prometheus}"),
            f"--promtail.config-file={self._files.promtail}",
            f"--storage.path={self._files.storage}",
            *("--web.listen-address=127.0.0.1:0", f"--web.address-file={self._run_address_file}"),
        )

    @property
    def last(self) -> Snapshot:
        """The look that was judged; before that, the last one."""
        return self._judged or self._last

    @property
    def _metrics_backends(self) -> list[Backend]:
        return [*self._sinks, *self._real]

    async def run(self) -> list[str]:
        """Play it; what is wrong in the end, empty when nothing was lost.

        Raises DemoFailed or SpawnFailed when something does not start or ends early. Cancelling ends everything.
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._peek)
            await stack.enter_async_context(self._patient_peek)
            await stack.enter_async_context(self._upstream)
            stack.push_async_callback(self._stop_everything)
            await self._start()
            return await self._play()

    # --- start and stop --------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        began_s = self._clock.monotonic()
        for folder in (self._files.pods, self._files.logs, self._files.storage):
            folder.mkdir(parents=True, exist_ok=True)
        self._files.write_targets([])
        self._files.write_prometheus([(backend.name, backend.write_url) for backend in self._metrics_backends])
        self._files.write_promtail(self._sinks[0].push_url)
        self._view.event(
            f"{self._files.folder}: prometheus.yml, promtail.yml, pods/ with access logs, logs/ of each program"
        )
        names = ", ".join(backend.name for backend in self._metrics_backends)
        self._view.phase(f"starting Kafka, headrace run, two Envoys, {names}")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._start_run())
            tasks.create_task(self._start_envoys())
            for backend in self._metrics_backends:
                tasks.create_task(backend.start(self._peek))
        took_s = self._clock.monotonic() - began_s
        self._view.event(f"ready after {took_s:.1f} s; pages: http://{self._watcher.run_address}/")

    async def _start_envoys(self) -> None:
        await asyncio.gather(*(envoy.start(self._upstream.port, self._peek) for envoy in self._envoys))
        self._files.write_targets(self._envoys)

    async def _start_run(self) -> None:
        self._run_address_file.unlink(missing_ok=True)
        await self._run.start()
        timeout_s = self._settings.start_timeout_s
        self._watcher.run_address = await self._run.until("its address", self._read_run_address, timeout_s)
        await self._run.until("being ready", self._all_ready, timeout_s)

    async def _read_run_address(self) -> str | None:
        file = self._run_address_file
        return file.read_text().strip() or None if file.exists() else None

    async def _all_ready(self) -> bool | None:
        snapshot = await self._look()
        expected = len(self._metrics_backends) + 1
        delivering = sum(backend.state in ("delivering", "idle") for backend in snapshot.backends)
        up = snapshot.targets_up == len(self._envoys)
        return True if snapshot.ready and up and delivering == expected else None

    async def _stop_everything(self) -> None:
        self._view.phase("stopping")
        await self._run.stop(_RUN_STOP_S)
        programs = [backend.program for backend in self._metrics_backends] + [envoy.program for envoy in self._envoys]
        await asyncio.gather(*(program.stop() for program in programs))

    # --- the play --------------------------------------------------------------------------------------------------

    async def _play(self) -> list[str]:
        stop_traffic = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(), name="watch")
                self._clients = [
                    Client(envoy.client_port, self._settings.requests_per_s, self._clock, seed=number)
                    for number, envoy in enumerate(self._envoys)
                ]
                for client in self._clients:
                    tasks.create_task(client.run(stop_traffic), name="traffic")
                await self._outage()
                self._view.phase("quiet: no more requests, no more targets; waiting for the rest to arrive")
                stop_traffic.set()
                self._files.write_targets([])
                problems = await self._calm()
                self.problems = problems = problems + await self._ask_real_backends()
                if self._settings.keep:
                    await self._keep(problems)
                watching.cancel()
        except* DemoFailed as failed:
            raise failed.exceptions[0] from None
        return problems

    async def _outage(self) -> None:
        """Steady, then one backend stops while the other goes on, then the backlog drains."""
        settings, victim = self._settings, self._sinks[1]
        self._view.phase(f"steady for {settings.steady_s:g} s: everything arrives everywhere")
        await self._clock.sleep(settings.steady_s / 2)
        if settings.sabotage:
            await self._sabotage(victim)
        await self._clock.sleep(settings.steady_s / 2)
        await victim.program.stop()
        self._view.phase(f"{victim.name} is stopped for {settings.outage_s:g} s; the others go on")
        self._view.event(f"nobody listens on {victim.address}: its backlog grows in Kafka")
        await self._clock.sleep(settings.outage_s)
        began_s = self._clock.monotonic()
        await victim.start(self._peek)
        acked = self._last.samples_acked
        self._view.phase(f"{victim.name} is back; its backlog of {self.peak_behind:,} samples drains")
        await self._wait(lambda: self._last.backend(victim.name).done >= acked, settings.drain_timeout_s)
        took_s = self._clock.monotonic() - began_s
        drained = "drained" if self._last.backend(victim.name).done >= acked else "still not drained"
        self.notes.append(
            f"{victim.name} was stopped for {settings.outage_s:g} s: backlog of {self.peak_behind:,} samples, "
            f"{drained} {took_s:.1f} s after its return"
        )
        self._view.event(self.notes[-1])
        await self._clock.sleep(settings.after_s)

    async def _sabotage(self, victim: Sink) -> None:
        mode, _, requests = self._settings.sabotage.partition("*")
        order = orjson.dumps({"mode": mode, "requests": int(requests or 1)})
        status, _ = await self._peek.post(victim.address, "/control", timeout_s=5.0, data=order)
        self._view.event(f"{victim.name} is told to be {mode} for {requests or 1} request(s): {status}")

    async def _calm(self) -> list[str]:
        """Wait until nothing moves any more, and judge. What is wrong when all is still, or too late, stays wrong."""
        expected = [*(backend.name for backend in self._metrics_backends), LOGS_BACKEND]
        proven = [*(sink.name for sink in self._sinks), LOGS_BACKEND]
        problems: list[str] = ["nothing has been looked at"]
        still_since_s = self._clock.monotonic()
        moving: tuple[int, ...] = ()

        def calm() -> bool:
            nonlocal problems, still_since_s, moving
            snapshot = self._last
            now = (snapshot.samples_acked, snapshot.lines_acked, *(b.ledger.get("in", 0) for b in snapshot.backends))
            if now != moving:
                moving, still_since_s = now, snapshot.at_s
            truth = Truth(lines_sent=sum(client.answered for client in self._clients))
            problems = judge(snapshot, truth, expected, proven)
            self._judged = snapshot
            still_s = snapshot.at_s - still_since_s
            over = still_s >= _GIVE_UP_S and all(backend.settled for backend in snapshot.backends)
            return over or (still_s >= _CALM_S and not problems)

        await self._wait(calm, self._settings.drain_timeout_s)
        if problems:
            problems += await self._name_missing_series()
        return problems

    async def _name_missing_series(self) -> list[str]:
        """Series of which the two sinks have different counts: an example of what is missing."""
        first, second = [await sink.counts(self._peek) for sink in self._sinks]
        differing = [labels for labels in {**first, **second} if first.get(labels, 0) != second.get(labels, 0)]
        return [
            f"{self._sinks[0].name} has {first.get(labels, 0)}, {self._sinks[1].name} has {second.get(labels, 0)} of "
            + ", ".join(f"{name}={value}" for name, value in labels)
            for labels in sorted(differing)[:5]
        ]

    async def _ask_real_backends(self) -> list[str]:
        """What their own queries find must be what was sent."""
        received = self._last.backend(self._sinks[0].name).received
        if received is None:
            return []
        problems = []
        for backend in self._real:
            due = received.unique - (0 if backend.shows_stale_markers else received.stale_markers)
            found = await self._query(backend, due)
            apart = "" if backend.shows_stale_markers else f" ({received.stale_markers:,} ends of series apart)"
            self.notes.append(f"{backend.name} finds {found:,} samples by query{apart}")
            if found != due:
                problems.append(f"{backend.name}: a query finds {found} samples, {due} were sent")
        return problems

    async def _query(self, backend: Installed, due: int) -> int:
        """What a query finds. VictoriaMetrics shows fresh samples a moment later, so it is asked again."""
        deadline_s = self._clock.monotonic() + _QUERY_S
        while True:
            found = await backend.samples(self._patient_peek)
            if found == due or self._clock.monotonic() >= deadline_s:
                return found or 0
            await self._clock.sleep(_LOOK_S)

    async def _keep(self, problems: list[str]) -> None:
        """Go on as before the end, until cancelled."""
        self._files.write_targets(self._envoys)
        self._view.event("nothing was lost" if not problems else "; ".join(problems))
        self._view.phase(f"kept running until Ctrl-C; pages: http://{self._watcher.run_address}/")
        async with asyncio.TaskGroup() as tasks:
            for client in self._clients:
                tasks.create_task(client.run(asyncio.Event()), name="traffic")

    # --- looking ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Look twice a second, until cancelled. Raises DemoFailed when the run has ended."""
        while True:
            await self._look()
            if not self._run.running:
                raise DemoFailed(f"headrace run has ended; its log {self._run.log} ends:\n{self._run.tail()}")
            await self._clock.sleep(_LOOK_S)

    async def _look(self) -> Snapshot:
        self._last = await self._watcher.look()
        self.peak_behind = max(self.peak_behind, self._last.behind(self._last.backend(self._sinks[1].name)))
        self._view.show(self._last)
        return self._last

    async def _wait(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Until the condition holds after a new look, or the time is over: the verdict says what is missing then."""
        deadline_s = self._clock.monotonic() + timeout_s
        await self._clock.sleep(2 * _LOOK_S)
        while not condition() and self._clock.monotonic() < deadline_s:
            await self._clock.sleep(_LOOK_S)
