"""Records, clients that answer by script, and a delivery around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agents.content.batch import Limits, Record, RequestSize
from agents.content.codec import Codec
from agents.content.metrics import MetricsCodec
from agents.content.prepare import Preparer
from agents.content.rewrite import Rewriter
from agents.delivery.deadletter import DeadLetter, DeadLetters
from agents.delivery.deliver import Deliverer
from agents.delivery.delivery import Delivery
from agents.instruments.instruments import Instruments
from agents.lanes.lane import Lane
from agents.lanes.pace import Pace
from agents.ledger.ledger import Ledger
from pipeline.clients.backoff import Backoff
from pipeline.clients.outcome import Delivered, Outcome
from pipeline.clock import SystemClock
from pipeline.telemetry.metrics import Telemetry
from topics import compression, push_request, write_request
from topics import labels as label_sets
from topics.pb.push_request_pb2 import PushRequest
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind, RecordHeaders

TS = 1_700_000_000_000


def series(name: str, *values: float, **labels: str) -> bytes:
    """One TimeSeries field with these samples, a second apart."""
    encoded = write_request.encode_labels(label_sets.make({"__name__": name, **labels}))
    samples = b"".join(write_request.sample_field(value, TS + i * 1000) for i, value in enumerate(values))
    return write_request.series(encoded, samples)


def stream(labels: dict[str, str], *lines: str) -> bytes:
    """One stream field with these lines."""
    entries = b"".join(push_request.encode_entry(TS * 1_000_000 + i, line.encode()) for i, line in enumerate(lines))
    return push_request.stream(label_sets.text(label_sets.make(labels)).encode(), entries)


def record(
    body: bytes,
    items: int,
    *,
    offset: int = 0,
    kind: Kind = Kind.METRICS,
    headers: bool = True,
    seen_before: bool = False,
    value: bytes | None = None,
) -> Record:
    """A record of our own producer, or (without headers) of somebody else's."""
    found = dict(RecordHeaders(kind, 1, items, TS, TS, "p", offset).encode()) if headers else {}
    block = compression.compress(body) if value is None else value
    return Record(f"headrace.{kind}", 3, offset, b"3/12", block, found, TS / 1000, seen_before)


def names(body: bytes) -> list[str]:
    """What a metrics request holds, as `name=value` of each sample."""
    return [
        f"{next(label.value for label in one.labels if label.name == '__name__')}={sample.value:g}"
        for one in WriteRequest.FromString(compression.decompress(body)).timeseries
        for sample in one.samples
    ]


def lines(body: bytes) -> list[str]:
    """What a logs request holds."""
    return [e.line for one in PushRequest.FromString(compression.decompress(body)).streams for e in one.entries]


class ScriptedClient:
    """Answers by `script`: a function of the body, or a list that is used up (and then everything is delivered)."""

    def __init__(self, script: Callable[[bytes], Outcome] | Iterable[Outcome] = ()) -> None:
        self._script = script if callable(script) else iter(list(script)).__next__
        self._listed = not callable(script)
        self.bodies: list[bytes] = []
        self.tenants: list[str] = []
        self.attempts: list[int] = []
        self.accepted: list[bytes] = []
        self.closed = 0
        self.hook: Callable[[], None] = lambda: None

    async def open(self) -> None:
        pass

    async def send(self, body: bytes, tenant: str = "", attempt: int = 0) -> Outcome:
        self.bodies.append(body)
        self.attempts.append(attempt)
        self.tenants.append(tenant)
        self.hook()
        outcome: Outcome
        if self._listed:
            try:
                outcome = self._script()  # type: ignore[call-arg]
            except StopIteration:
                outcome = Delivered()
        else:
            outcome = self._script(body)  # type: ignore[call-arg]
        if isinstance(outcome, Delivered):
            self.accepted.append(body)
        return outcome

    async def close(self) -> None:
        self.closed += 1


class Rig:
    """A whole delivery with a scripted client; dead letters go to a list."""

    def __init__(
        self,
        script: Callable[[bytes], Outcome] | Iterable[Outcome] = (),
        *,
        codec: Codec | None = None,
        rewriter: Rewriter | None = None,
        limits: Limits | None = None,
        make_instruments: Callable[[Telemetry, Ledger], Instruments] = lambda telemetry, _: Instruments("b", telemetry),
    ) -> None:
        self.clock = SystemClock()
        self.telemetry = Telemetry()
        self.ledger = Ledger(self.telemetry, "b")
        self.instruments = make_instruments(self.telemetry, self.ledger)
        self.client = ScriptedClient(script)
        self.letters: list[DeadLetter] = []
        self.letter_failures: list[Exception] = []
        self.size = RequestSize(limits or Limits())
        self.preparer = Preparer(codec or MetricsCodec(), rewriter, limits or Limits())
        self.lane = Lane(3, self.clock)
        self.settled: list[int] = []
        self.deliverer = deliverer = Deliverer(
            "b",
            self.client,
            self.preparer,
            DeadLetters(self._store, "b", self.clock),
            ledger=self.ledger,
            size=self.size,
            pace=Pace(self.clock),
            backoff=lambda: Backoff(0.0001, 0.0002),
            instruments=self.instruments,
            clock=self.clock,
        )
        self.delivery = Delivery(
            self.client, self.preparer, deliverer, self.ledger, self.size, instruments=self.instruments
        )

    async def process(self, *records: Record) -> None:
        """Give all records their outcome."""
        await self.delivery.process(self.lane, records, lambda one: self.settled.append(one.offset))

    @property
    def account(self):
        return self.ledger.partition(3)

    async def _store(self, letter: DeadLetter) -> None:
        if self.letter_failures:
            raise self.letter_failures.pop(0)
        self.letters.append(letter)
