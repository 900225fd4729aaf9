"""The headers of a record: what any reader can know of it without touching the value. README.md states the format."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from topics.errors import BadRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = 1
EXEMPLARS, HISTOGRAMS, METADATA, START_TIMESTAMPS = 1, 2, 4, 8
_EXTRAS = {
    EXEMPLARS: "exemplars",
    HISTOGRAMS: "histograms",
    METADATA: "metadata",
    START_TIMESTAMPS: "start_timestamps",
}


class Kind(StrEnum):
    """What a topic carries."""

    METRICS = "metrics"
    LOGS = "logs"

    @property
    def unit(self) -> str:
        """What is counted of it, for people."""
        return "samples" if self is Kind.METRICS else "lines"


@dataclass(frozen=True, slots=True)
class RecordHeaders:
    """The headers of one record.

    `series`/`samples`: how many are in the value (streams/entries for logs); `min_ts_ms`/`max_ts_ms`: the oldest and
    newest timestamp in it, Unix milliseconds; `producer`: the id of the producing process, new at each start;
    `sequence`: counts that producer's records in this partition from 0, so that a gap or a repeat shows; `before`: how
    many samples it wrote there before this record, so that a gap tells what is missing; None: it does not say;
    `fragments`: the decoded sizes of the fragments that the value was joined from, in order, where there is more than
    one;
    `elements`: how many bytes of the value, after its length preamble, are each fragment's own snappy elements (0: they
    stand together with those of the next), where fragments came compressed;
    `extras`: what it holds beside series with ordinary samples: EXEMPLARS, HISTOGRAMS, METADATA, START_TIMESTAMPS, as a
    sum, or 0.
    """

    kind: Kind
    series: int
    samples: int
    min_ts_ms: int
    max_ts_ms: int
    producer: str
    sequence: int
    tenant: str = ""
    version: int = VERSION
    fragments: tuple[int, ...] = ()
    extras: int = 0
    elements: tuple[int, ...] = ()
    before: int | None = None

    def encode(self) -> list[tuple[str, bytes]]:
        """As Kafka headers: ASCII decimals and UTF-8 text. The tenant is left out when there is none."""
        headers = [
            ("version", b"%d" % self.version),
            ("kind", self.kind.encode()),
            ("series", b"%d" % self.series),
            ("samples", b"%d" % self.samples),
            ("min_ts_ms", b"%d" % self.min_ts_ms),
            ("max_ts_ms", b"%d" % self.max_ts_ms),
            ("producer", self.producer.encode()),
            ("sequence", b"%d" % self.sequence),
        ]
        if self.before is not None:
            headers.append(("before", b"%d" % self.before))
        if self.tenant:
            headers.append(("tenant", self.tenant.encode()))
        if len(self.fragments) > 1:
            headers.append(("fragments", b",".join([b"%d" % size for size in self.fragments])))
        if self.elements:
            headers.append(("elements", b",".join([b"%d" % size for size in self.elements])))
        if self.extras:
            headers.append(("extras", ",".join([name for bit, name in _EXTRAS.items() if self.extras & bit]).encode()))
        return headers

    @classmethod
    def decode(cls, headers: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> RecordHeaders:
        """The inverse of `encode`. Headers that we do not know are ignored (tracing adds its own).

        Raises BadRecord for a missing or malformed header, an unknown kind, and a version newer than ours.
        """
        found = dict(headers)
        version = _number(found, "version")
        if version != VERSION:
            raise BadRecord(f"record version {version}: this headrace reads version {VERSION}; upgrade it first")
        kind = _text(found, "kind")
        if kind not in (Kind.METRICS, Kind.LOGS):
            raise BadRecord(f"header kind: {kind!r} is neither metrics nor logs")
        return cls(
            kind=Kind(kind),
            series=_count(found, "series"),
            samples=_count(found, "samples"),
            min_ts_ms=_number(found, "min_ts_ms"),
            max_ts_ms=_number(found, "max_ts_ms"),
            producer=_text(found, "producer"),
            sequence=_count(found, "sequence"),
            tenant=_text(found, "tenant") if "tenant" in found else "",
            version=version,
            fragments=_sizes(found, "fragments"),
            extras=extras(found),
            before=_count(found, "before") if "before" in found else None,
            elements=_sizes(found, "elements"),
        )


def extras(headers: Mapping[str, bytes]) -> int:
    """What the header of this name says; names that we do not know are ignored."""
    said = headers.get("extras", b"").split(b",")
    return sum(bit for bit, name in _EXTRAS.items() if name.encode() in said)


def _raw(headers: Mapping[str, bytes], name: str) -> bytes:
    value = headers.get(name)
    if value is None:
        raise BadRecord(f"header {name} is missing; no headrace producer writes such a record")
    return value


def _text(headers: Mapping[str, bytes], name: str) -> str:
    try:
        return _raw(headers, name).decode()
    except UnicodeDecodeError:
        raise BadRecord(f"header {name} is not UTF-8") from None


def _number(headers: Mapping[str, bytes], name: str) -> int:
    raw = _raw(headers, name)
    digits = raw[1:] if raw[:1] == b"-" else raw
    if not digits.isdigit() or len(digits) > 19:
        raise BadRecord(f"header {name} is not a decimal number: {raw[:40]!r}")
    return int(raw)


def _sizes(headers: Mapping[str, bytes], name: str) -> tuple[int, ...]:
    raw = headers.get(name, b"")
    sizes = raw.split(b",") if raw else []
    if not all(size.isdigit() and len(size) < 19 for size in sizes):
        raise BadRecord(f"header {name} is not a list of decimal numbers: {raw[:40]!r}")
    return tuple(int(size) for size in sizes)


def _count(headers: Mapping[str, bytes], name: str) -> int:
    number = _number(headers, name)
    if number < 0:
        raise BadRecord(f"header {name} is negative: {number}")
    return number
