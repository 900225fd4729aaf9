"""A push as JSON, for endpoints that do not read protobuf.

Source: https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs: one object a stream, a value is
``[nanoseconds as text, line]`` and, with structured metadata, an object after them. Gzip, which Loki's API allows too.
"""

from __future__ import annotations

import gzip

import orjson

from topics import compression, labels, push_request

HEADERS = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
# More gains little on lines, and costs several times as much.
_LEVEL = 1


def as_json(block: bytes) -> bytes:
    """A snappy block of a PushRequest as gzipped JSON. Raises BadRecord for a body that is none.

    Streams of equal labels that follow one another become one. A name that stands twice in structured metadata keeps
    its last value: JSON has no more.
    """
    streams: list[dict[str, object]] = []
    values: list[list[object]] = []
    before = b""
    for raw in push_request.split(compression.decompress(block)):
        text = push_request.labels_of(raw)
        if text != before or not streams:
            before, values = text, []
            streams.append({"stream": dict(labels.parse_text(text.decode())), "values": values})
        values += [_value(push_request.decode_entry(entry)) for entry in push_request.entries_of(raw)]
    return gzip.compress(orjson.dumps({"streams": streams}), _LEVEL, mtime=0)


def _value(entry: push_request.Entry) -> list[object]:
    stamped: list[object] = [str(entry.ts_ns), entry.line]
    return [*stamped, dict(entry.metadata)] if entry.metadata else stamped
