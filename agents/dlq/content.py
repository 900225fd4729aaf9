"""What a dead letter holds, a line each, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.offline.times import show
from topics import labels, push_request, write_request
from topics.errors import CorruptMessage, InvalidLabels
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind

if TYPE_CHECKING:
    from agents.dlq.letters import Letter

_MOST_LINES = 1000


def content(letter: Letter) -> list[str]:
    """Each sample as `labels value time`, each log line as `labels time line`; at most a thousand of them."""
    body = letter.body()
    if body is None:
        return [f"{len(letter.value)} bytes that are no snappy block: {letter.value[:64].hex()}"]
    try:
        found = _samples(body) if letter.kind is Kind.METRICS else _lines(body)
    except (CorruptMessage, InvalidLabels, UnicodeDecodeError) as error:
        return [f"{len(body)} bytes that cannot be read: {error}"]
    more = len(found) - _MOST_LINES
    return [*found[:_MOST_LINES], f"… and {more} more"] if more > 0 else found


def _samples(body: bytes) -> list[str]:
    found = []
    for raw in write_request.split(body):
        name = labels.text(write_request.decode_labels(raw))
        (one,) = WriteRequest.FromString(write_request.join([raw])).timeseries
        found += [f"{name} {sample.value!r} {show(sample.timestamp)}" for sample in one.samples]
        found += [
            f"{name} histogram of {item.count_int or item.count_float:g} {show(item.timestamp)}"
            for item in one.histograms
        ]
    return found


def _lines(body: bytes) -> list[str]:
    found = []
    for raw in push_request.split(body):
        name = push_request.labels_of(raw).decode()
        for raw_entry in push_request.entries_of(raw):
            entry = push_request.decode_entry(raw_entry)
            metadata = "".join(f" {key}={value!r}" for key, value in entry.metadata)
            found.append(f"{name} {show(entry.ts_ns // 1_000_000)}{metadata} {entry.line}")
    return found
