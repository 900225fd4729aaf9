"""fresh_first: what a backend missed is delivered beside what is new, not before it.

The live lane of a partition that has fallen behind leaps to the end; what it leaps over becomes a span, which this
lane delivers in order, by requests of its own. Spans travel with the partition's offset commits, so they survive
whatever the agent does not. What is new goes first: while a live lane is late, the past gets a tenth of the time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agents.backfill.reader import PastReader
from agents.backfill.spans import Spans
from agents.content.batch import Record
from agents.lanes.lane import Interrupted, Lane, State
from agents.offline.reading import record_of
from pipeline.clients.profiles import DUPLICATE
from pipeline.telemetry import catalogue
from topics.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from agents.backfill.reader import Chunk
    from agents.delivery.delivery import Delivery
    from agents.ledger.commits import Commits
    from agents.ledger.ledger import Ledger
    from pipeline.clock import Clock
    from pipeline.config.logs import LokiClientConfig
    from pipeline.config.remote_write import RemoteWriteConfig
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

SECTION: Final = "backfill"
"""Its name in the metadata of commits."""
STALE_S: Final = 5.0
"""A record that has waited for so long is one of the past, if newer ones are there."""
LATE_S: Final = 1.0
LEAST_SHARE: Final = 0.1
REQUESTS: Final = 4
"""So many of its requests may be in flight at once."""
_LOOK_S: Final = 0.1
_RETRY_S: Final = 1.0
_RATE_S: Final = 30
_KNOWN = frozenset({DUPLICATE})


@dataclass(frozen=True, slots=True)
class Policy:
    """`fresh_first` False: nothing new is left for later. `window_s`: how far out of order the backend takes what it
    gets; None: as far as you like.
    """

    fresh_first: bool = False
    window_s: float | None = None


def policy(settings: RemoteWriteConfig | LokiClientConfig) -> Policy:
    """What the configuration says of a backend."""
    return Policy(settings.recovery == "fresh_first", settings.out_of_order_time_window or None)


@dataclass(slots=True)
class _Past:
    """One partition's. `oldest_s`: Unix seconds of the first record left, or an earlier moment; None: not known yet."""

    lane: Lane
    spans: Spans = field(default_factory=Spans)
    oldest_s: float | None = None


class Backfill:
    """The past of one backend in this process. Everything runs in one task, `run`, and its children.

    `delivery` gives the present one, `live` the live lanes by partition.
    """

    def __init__(
        self,
        backend: str,
        open_reader: Callable[[], PastReader],
        *,
        delivery: Callable[[], Delivery],
        live: Callable[[], Mapping[int, Lane]],
        commits: Commits,
        ledger: Ledger,
        policy: Policy,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        self.policy = policy
        self.failure: BaseException | None = None
        self._backend = backend
        self._open_reader = open_reader
        self._delivery = delivery
        self._live = live
        self._commits = commits
        self._ledger = ledger
        self._clock = clock
        self._pasts: dict[int, _Past] = {}
        self._halted = False
        self._ended = False
        self._stops = 0
        self._wanted = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(REQUESTS)
        self._rest_until_s = float("-inf")
        self._settled = 0
        self._progress: deque[tuple[float, int]] = deque(maxlen=_RATE_S)
        self._left = telemetry.gauge(catalogue.AGENT_BACKFILL)
        commits.register(SECTION, self.encode, self.restore, required=True)

    # -- what travels with the commits

    def encode(self, partition: int, offset: int) -> Any:
        """See `Commits.register`."""
        past = self._pasts.get(partition)
        return past.spans.encode(offset) if past is not None else None

    def restore(self, partition: int, offset: int | None, section: Any) -> None:
        """See `Commits.register`. What was known of the partition is forgotten."""
        if (before := self._pasts.get(partition)) is not None:
            # Whoever still delivers for it does so for an account that is no more.
            before.lane.stop()
            self._stops += 1
        past = _Past(Lane(partition, self._clock))
        past.lane.excuses = _KNOWN
        past.lane.past = True
        past.spans.restore(offset, section)
        self._pasts[partition] = past
        self._halted = False
        self._show(partition)
        if past.spans:
            log.info("partition %d: %d records of the past are left", partition, past.spans.records)
            self._wanted.set()

    # -- for the live lanes

    def wants(self, partition: int, timestamp_s: float) -> bool:
        """Whether a record so old, next in its partition, is to be left for later, if there are newer ones."""
        past = self._pasts.get(partition)
        if not self.policy.fresh_first or past is None or self._halted or past.spans.full:
            return False
        age_s = self._clock.now() - timestamp_s
        # The other half of the window is the time that the past has for its way.
        return age_s > STALE_S and (self.policy.window_s is None or age_s <= self.policy.window_s / 2)

    def leave(self, partition: int, start: int, end: int, timestamp_s: float) -> None:
        """The live lane has leapt from `start` to `end`; `timestamp_s` is that of the record at `start`."""
        past = self._pasts[partition]
        if not past.spans:
            past.oldest_s = timestamp_s
        past.spans.add(start, end)
        self._ledger.leap(partition, end)
        self._commits.request(partition)
        self._show(partition)
        self._wanted.set()
        log.info("partition %d: %d records are delivered beside what is new", partition, end - start)

    async def admit(self, lane: Lane, newest_s: float) -> None:
        """Wait while records this new would push what is left out of the backend's window. Raises Interrupted."""
        if self.policy.window_s is None:
            return
        oldest_taken_s = newest_s - self.policy.window_s * 0.9
        while any(past.spans and (past.oldest_s or 0.0) < oldest_taken_s for past in self._pasts.values()):
            await lane.pause(_LOOK_S)

    # -- the lane itself

    async def run(self) -> None:
        """Deliver what is left, until `end`. A fault in headrace itself stands in `failure` afterwards."""
        try:
            while not self._ended:
                await self._wanted.wait()
                try:
                    async with self._open_reader() as reader:
                        while self._spans():
                            await self._round(reader)
                except KafkaUnavailable as error:
                    log.warning("the past waits: %s", error)
                    await self._clock.sleep(_RETRY_S)
                if not self._spans() and not self._ended:
                    self._wanted.clear()
        except Exception as error:
            log.exception("a fault in headrace itself; the process ends, nothing of this is committed")
            self.failure = error

    def stop(self) -> set[asyncio.Task[None]]:
        """Begin nothing more until partitions are dealt again; what runs is answered, and ends with its request."""
        self._halted = True
        self._stops += 1
        for past in self._pasts.values():
            past.lane.stop()
        return set(self._running)

    async def finish(self, drain_s: float) -> None:
        """Let requests in flight end, cut the others. What has its outcome may be committed afterwards."""
        running = self.stop()
        if running:
            _, late = await asyncio.wait(running, timeout=drain_s)
            for task in late:
                task.cancel()

    def end(self) -> None:
        """Let `run` return. Cancelling it alone would not do: aiokafka keeps a cancellation to itself at times."""
        self._ended = True
        self._wanted.set()

    def interrupt_waiting(self) -> None:
        """After an exchange of the delivery: lanes between two attempts begin anew with it at once."""
        for past in self._pasts.values():
            if past.lane.state in (State.RETRYING, State.PAUSED):
                past.lane.begin_anew()

    def forget(self, ours: Collection[int]) -> None:
        """No others than these are ours now."""
        for partition in self._pasts.keys() - ours:
            del self._pasts[partition]
            self._left.remove(self._backend, str(partition))

    @property
    def lanes(self) -> list[Lane]:
        """The lanes that have something to do."""
        return [past.lane for past in self._pasts.values() if past.spans]

    @property
    def oldest_s(self) -> float | None:
        """Unix seconds of the oldest record that is left, as far as it is known."""
        known = [past.oldest_s for past in self._pasts.values() if past.spans and past.oldest_s is not None]
        return min(known, default=None)

    @property
    def waiting(self) -> list[tuple[int, float, int]]:
        """Of each partition with something left: its number, the time (Unix seconds) and offset of the first record."""
        return [
            (number, past.oldest_s, past.spans.first.start)
            for number, past in self._pasts.items()
            if past.spans and past.oldest_s is not None
        ]

    def left(self, partition: int) -> int:
        """Records of a partition that are left."""
        past = self._pasts.get(partition)
        return past.spans.records if past is not None else 0

    def nudge(self) -> None:
        """The backend took something: a paused lane need not wait for its next probe."""
        for past in self._pasts.values():
            if past.lane.state is State.PAUSED:
                past.lane.nudge()

    def status(self) -> dict[str, Any]:
        """What is left, how fast it goes, and the seconds that it will take; None: nobody knows."""
        left = sum(past.spans.records for past in self._pasts.values())
        rate = self._rate() if left else 0.0
        return {
            "records_left": left,
            "records_per_second": round(rate, 1),
            "eta_s": round(left / rate, 1) if rate else (None if left else 0.0),
            "oldest_s": self.oldest_s,
            "partitions": {
                str(number): {"records_left": past.spans.records, "spans": [[one.start, one.end] for one in past.spans]}
                for number, past in sorted(self._pasts.items())
                if past.spans
            },
        }

    def _spans(self) -> dict[int, Any]:
        if self._halted or self._ended:
            return {}
        return {number: past.spans.first for number, past in self._pasts.items() if past.spans}

    async def _round(self, reader: PastReader) -> None:
        """What one fetch brings, delivered: partitions side by side, each in order."""
        stops = self._stops
        chunks = await reader.read(self._spans())
        if self._stops != stops:
            return  # dealt anew meanwhile: what is left is what was restored
        async with asyncio.TaskGroup() as tasks:
            for partition, chunk in chunks.items():
                task = tasks.create_task(self._deliver(self._pasts[partition], chunk))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _deliver(self, past: _Past, chunk: Chunk) -> None:
        partition = past.lane.partition
        if chunk.lost:
            start = past.spans.first.start
            end = start + chunk.lost
            log.error(
                "partition %d: retention took %d records of the past, %d to %d", partition, chunk.lost, start, end
            )
            self._ledger.partition(partition).past_lost(start, end)
            self._account(past, end)
        records = [record_of(one) for one in chunk.records]
        self._note()
        try:
            async with self._slots:
                await self._work(past, records)
        except Interrupted:
            return
        self._account(past, chunk.upto)
        self._commits.cover.ask(partition)  # under way while more is read

    async def _work(self, past: _Past, records: Sequence[Record]) -> None:
        def settled(record: Record) -> None:
            past.oldest_s = record.timestamp_s
            self._account(past, record.offset + 1)

        while records:
            await self._turn(past)
            began_s = self._clock.monotonic()
            try:
                past.lane.oldest_s = records[0].timestamp_s
                await self._delivery().process(past.lane, records, settled)
            except Interrupted:
                if past.lane.stopped:
                    raise
                past.lane.resume()  # a new configuration: what is left begins anew with it
                records = [record for record in records if past.spans.holds(record.offset)]
                continue
            finally:
                past.lane.oldest_s = None
                past.lane.show(State.IDLE)
                took_s = self._clock.monotonic() - began_s
                self._rest_until_s = self._clock.monotonic() + took_s * (1 / LEAST_SHARE - 1)
            return

    async def _turn(self, past: _Past) -> None:
        """What is new goes first. Raises Interrupted."""
        past.lane.check()
        while self._in_trouble(past.lane.partition) or (
            self._clock.monotonic() < self._rest_until_s and self._fresh_is_late()
        ):
            await past.lane.pause(_LOOK_S)

    def _in_trouble(self, partition: int) -> bool:
        live = self._live().get(partition)
        return live is not None and live.state in (State.RETRYING, State.PAUSED)

    def _fresh_is_late(self) -> bool:
        now_s = self._clock.now()
        return any(lane.oldest_s is not None and now_s - lane.oldest_s > LATE_S for lane in self._live().values())

    def _account(self, past: _Past, below: int) -> None:
        before = past.spans.records
        past.spans.done(below)
        self._settled += before - past.spans.records
        self._show(past.lane.partition)
        self._commits.request(past.lane.partition)

    def _note(self) -> None:
        """Once a second or so, how far it is; what was long ago says nothing of the pace."""
        now_s = self._clock.monotonic()
        if self._progress and now_s - self._progress[-1][0] > _RATE_S:
            self._progress.clear()
        if not self._progress or now_s - self._progress[-1][0] >= 1.0:
            self._progress.append((now_s, self._settled))

    def _rate(self) -> float:
        """Records a second, of late."""
        if not self._progress:
            return 0.0
        since_s, settled = self._progress[0]
        return (self._settled - settled) / max(self._clock.monotonic() - since_s, 0.001)

    def _show(self, partition: int) -> None:
        self._left.labels(self._backend, str(partition)).set(self.left(partition))
