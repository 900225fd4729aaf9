"""Bodies of Loki's push API, protobuf or JSON, as streams of lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from topics import labels, push_request
from topics.errors import CorruptMessage


class PushedStream(NamedTuple):
    """One stream of a push: its labels and its (Unix nanoseconds, line) in order."""

    labels: labels.LabelPairs
    entries: list[tuple[int, bytes]]


def from_protobuf(body: bytes) -> list[PushedStream]:
    """The streams of a PushRequest (not compressed). Raises CorruptMessage, InvalidLabels."""
    streams = []
    for raw in push_request.split(body):
        try:
            text = push_request.labels_of(raw).decode()
        except UnicodeDecodeError:
            raise CorruptMessage("a stream's labels are not UTF-8") from None
        entries = [push_request.decode_entry(entry) for entry in push_request.entries_of(raw)]
        pushed = [(entry.ts_ns, entry.line.encode()) for entry in entries]
        streams.append(PushedStream(labels.parse_text(text), pushed))
    return streams


def from_json(body: bytes) -> list[PushedStream]:
    """The streams of ``{"streams": [{"stream": {…}, "values": [["<ns>", "line"], …]}]}``. Raises CorruptMessage."""
    try:
        streams = orjson.loads(body)["streams"]
        return [PushedStream(labels.make(one["stream"]), [_entry(value) for value in one["values"]]) for one in streams]
    except (orjson.JSONDecodeError, TypeError, KeyError, ValueError, IndexError, AttributeError) as error:
        raise CorruptMessage(f"not a JSON push of Loki: {error!r}") from None


def _entry(value: Any) -> tuple[int, bytes]:
    return int(value[0]), value[1].encode()
