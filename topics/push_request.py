"""logproto.PushRequest (Loki push): entries and streams built from their parts, bodies split and joined undecoded.

Schema: proto/push_request.proto. As with metrics, messages concatenate: a fragment is any run of whole streams.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from topics import wire
from topics.errors import CorruptMessage
from topics.pb.push_request_pb2 import EntryAdapter, RawPushRequest, RawStream
from topics.wire import field, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STREAM_TAG = b"\x0a"
_ENTRY_TAG = b"\x12"
_HASH_TAG = b"\x18"
_NS = 1_000_000_000


class Entry(NamedTuple):
    """One line as readers see it: Unix nanoseconds, the line's text, structured metadata in order."""

    ts_ns: int
    line: str
    metadata: tuple[tuple[str, str], ...] = ()


def encode_entry(ts_ns: int, line: bytes, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
    """One Entry as field 2 of a stream. `line` must be UTF-8 (the schema says string): receivers refuse other bytes."""
    seconds, nanos = divmod(ts_ns, _NS)
    stamp = _seconds(seconds)
    if nanos:
        stamp += b"\x10" + varint(nanos)
    size = len(line)
    length = varint(size)
    total = 3 + len(stamp) + len(length) + size
    if not metadata:
        return b"".join((b"\x12", varint(total), b"\x0a", varint(len(stamp)), stamp, b"\x12", length, line))
    pairs = b"".join([encode_pair(name, value) for name, value in metadata])
    head = (b"\x12", varint(total + len(pairs)), b"\x0a", varint(len(stamp)), stamp, b"\x12", length, line, pairs)
    return b"".join(head)


def encode_pair(name: str, value: str) -> bytes:
    """One pair of structured metadata, as a field of an Entry."""
    return field(3, field(1, name.encode()) + field(2, value.encode()))


@lru_cache(maxsize=64)
def _seconds(seconds: int) -> bytes:
    """Lines come in order, so the second of a timestamp is nearly always the last one's."""
    return b"\x08" + varint(seconds)


def stream(labels_text: bytes, entries: bytes, hash_: int = 0) -> bytes:
    """Field 1 of PushRequest: one stream. `labels_text` is `{a="b"}` (labels.text), `entries` encoded ones."""
    length = varint(len(labels_text))
    tail = _HASH_TAG + varint(hash_) if hash_ else b""
    size = 1 + len(length) + len(labels_text) + len(entries) + len(tail)
    return b"".join((_STREAM_TAG, varint(size), b"\x0a", length, labels_text, entries, tail))


def split(body: bytes) -> list[bytes]:
    """The raw streams of a PushRequest, in order. Raises CorruptMessage."""
    try:
        return RawPushRequest.FromString(body).streams[:]
    except DecodeError as error:
        raise CorruptMessage(f"{len(body)} bytes are not a logproto.PushRequest: {error}") from None


def join(raw_streams: Iterable[bytes]) -> bytes:
    """A PushRequest (or fragment) of raw streams: the inverse of `split`."""
    return wire.join(_STREAM_TAG, raw_streams)


def labels_of(raw_stream: bytes) -> bytes:
    """The labels text of a raw stream, UTF-8, as its sender wrote it. Raises CorruptMessage."""
    return _raw(raw_stream).labels


def entries_of(raw_stream: bytes) -> list[bytes]:
    """The raw entries (content of each EntryAdapter, without tag and length), in order. Raises CorruptMessage."""
    return _raw(raw_stream).entries[:]


def join_entries(raw_entries: Iterable[bytes]) -> bytes:
    """Raw entries as fields of a stream: the inverse of `entries_of`, ready for `stream`."""
    return wire.join(_ENTRY_TAG, raw_entries)


def count_entries(raw_stream: bytes) -> int:
    """How many entries a raw stream holds. Raises CorruptMessage."""
    return len(_raw(raw_stream).entries)


def decode_entry(raw_entry: bytes) -> Entry:
    """A raw entry as data. Raises CorruptMessage (line not UTF-8 included)."""
    try:
        entry = EntryAdapter.FromString(raw_entry)
    except DecodeError as error:
        raise CorruptMessage(f"{len(raw_entry)} bytes are not a logproto entry: {error}") from None
    stamp = entry.timestamp
    metadata = tuple((pair.name, pair.value) for pair in entry.structuredMetadata)
    return Entry(stamp.seconds * _NS + stamp.nanos, entry.line, metadata)


def _raw(raw_stream: bytes) -> RawStream:
    try:
        return RawStream.FromString(raw_stream)
    except DecodeError as error:
        raise CorruptMessage(f"{len(raw_stream)} bytes are not a logproto stream: {error}") from None
