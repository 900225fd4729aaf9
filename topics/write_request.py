"""prometheus.WriteRequest (remote write 1.0): fragments built from encoded parts, bodies split and joined undecoded.

Terms: a *raw series* is the content of one TimeSeries message; a *fragment* is any concatenation of whole top-level
fields (tag, length, raw series), and thereby a WriteRequest itself: protobuf messages concatenate.
Schema: proto/write_request.proto. Wire rules: wire.py.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from topics import wire
from topics.errors import CorruptMessage, InvalidLabels
from topics.pb.write_request_pb2 import MetricMetadata, RawWriteRequest, TimeSeries, WriteRequest
from topics.wire import LENGTH_DELIMITED, field, read_varint, varint, walk

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from topics.labels import LabelPairs

STALE_NAN_BITS: Final = 0x7FF0000000000002
"""The NaN that says "this series ended here". Keep it as bits: arithmetic may quieten it to an ordinary NaN."""
STALE_NAN: Final[float] = struct.unpack("<d", struct.pack("<Q", STALE_NAN_BITS))[0]

ONE_SAMPLE_BYTES: Final = 18
"""The size of one Sample field of a TimeSeries when value and timestamp are both set (timestamps of 1971 to 2109)."""

_SERIES_TAG = b"\x0a"
_METADATA_TAG = b"\x1a"
_SAMPLE_HEAD = struct.Struct("<BBBdB")
_DOUBLE = struct.Struct("<d")
_LABEL_TAG = 0x0A
_SAMPLE_TAG = 0x12
# One ordinary sample, and behind it the time at which counting began: what `since` writes.
_SINCE_BYTES, _SINCE_HEAD, _SINCE_TAG, _PLAIN_HEAD = ONE_SAMPLE_BYTES + 7, b"\x12\x17\x09", 0x18, b"\x12\x10\x09"
_SERIES_SAMPLES, _SERIES_EXEMPLARS, _SERIES_HISTOGRAMS = 2, 3, 4
_STARTS = {_SERIES_SAMPLES: 3, _SERIES_HISTOGRAMS: 17}
"""Where 2.0 has the time at which counting began, in a Sample and in a Histogram. 1.0 has none."""


def encode_labels(pairs: LabelPairs) -> bytes:
    """The Label fields of one TimeSeries, in the order of the pairs."""
    return b"".join([_label_field(name.encode(), value.encode()) for name, value in pairs])


def _label_field(name: bytes, value: bytes) -> bytes:
    size = len(name) + len(value) + 4
    if size < 128:  # every length is one byte, as it nearly always is
        return b"\x0a%c\x0a%c%b\x12%c%b" % (size, len(name), name, len(value), value)
    return field(1, field(1, name) + field(2, value))


def sample_field(value: float, ts_ms: int) -> bytes:
    """One Sample as field 2 of a TimeSeries. Both members are always written, also when 0: readers take either form.

    A stale marker keeps its bits when `value` is STALE_NAN itself.
    """
    stamp = varint(ts_ms)
    return _SAMPLE_HEAD.pack(0x12, 10 + len(stamp), 0x09, value, 0x10) + stamp


def since(sample: bytes, start_ms: int) -> bytes:
    """A Sample or Histogram, as field 2 or 4 of a TimeSeries, with the time at which counting began, as in 2.0."""
    number = sample[0] >> 3
    _, start = read_varint(sample, 1)
    return field(number, sample[start:] + varint(_STARTS[number] << 3) + varint(start_ms))


def exemplar_field(labels: LabelPairs, value: float, ts_ms: int) -> bytes:
    """One Exemplar as field 3 of a TimeSeries. Histograms: `topics.histogram.histogram_field`."""
    return field(3, encode_labels(labels) + b"\x11" + _DOUBLE.pack(value) + b"\x18" + varint(ts_ms))


def series(labels: bytes, samples: bytes) -> bytes:
    """Field 1 of WriteRequest: one TimeSeries from its encoded Label fields and everything that follows them."""
    return b"".join((_SERIES_TAG, varint(len(labels) + len(samples)), labels, samples))


def split(body: bytes) -> list[bytes]:
    """The raw series of a WriteRequest, in order. Raises CorruptMessage. Metadata: `split_metadata`."""
    return _raw(body).timeseries[:]


def split_metadata(body: bytes) -> list[bytes]:
    """The raw MetricMetadata messages of a WriteRequest, in order. Raises CorruptMessage."""
    return _raw(body).metadata[:]


def split_all(body: bytes) -> tuple[list[bytes], list[bytes]]:
    """Raw series and raw metadata with one pass over the body. Raises CorruptMessage."""
    raw = _raw(body)
    return raw.timeseries[:], raw.metadata[:]


def _raw(body: bytes) -> RawWriteRequest:
    try:
        return RawWriteRequest.FromString(body)
    except DecodeError as error:
        raise CorruptMessage(f"{len(body)} bytes are not a prometheus.WriteRequest: {error}") from None


def join(raw_series: Iterable[bytes]) -> bytes:
    """A WriteRequest (or fragment) of raw series: the inverse of `split`."""
    return wire.join(_SERIES_TAG, raw_series)


def join_metadata(raw_metadata: Iterable[bytes]) -> bytes:
    """Raw metadata as a fragment: the inverse of `split_metadata`; append it to a body."""
    return wire.join(_METADATA_TAG, raw_metadata)


def decode_metadata(raw_metadata: bytes) -> tuple[str, int, str, str]:
    """Family name, type (the number of MetricMetadata.MetricType), help and unit. Raises CorruptMessage."""
    try:
        found = MetricMetadata.FromString(raw_metadata)
    except DecodeError as error:
        raise CorruptMessage(f"{len(raw_metadata)} bytes are not metadata of a metric: {error}") from None
    return found.metric_family_name, found.type, found.help, found.unit


def labels_end(raw: bytes) -> int:
    """Where the leading Label fields of a raw series end: `raw[:end]` holds the labels and is the memo key.

    It does not look behind the first field that is no label. Label fields that come later are legal protobuf, though
    no known sender writes them: whoever takes in foreign bodies makes them regular with `labels_first`.
    Raises CorruptMessage when the series ends inside its labels.
    """
    pos = 0
    size = len(raw)
    try:
        while pos < size and raw[pos] == _LABEL_TAG:
            length = raw[pos + 1]
            if length < 128:
                pos += 2 + length
            else:
                length, start = read_varint(raw, pos + 1)
                pos = start + length
    except IndexError:
        pos = size + 1
    if pos > size:
        raise CorruptMessage("a series ends inside its labels")
    return pos


def known_labels(raw: bytes, known: Container[bytes]) -> bytes:
    """`raw[:labels_end(raw)]`, found at once when it is in `known` and one ordinary sample follows it.

    Why this is right: what is in `known` was found by `labels_end` before, so it is a run of whole Label fields; a raw
    series that begins with it has a field boundary there, and the ONE_SAMPLE_BYTES that follow cannot be part of it.
    """
    head = raw[:-ONE_SAMPLE_BYTES]
    if head and head in known and raw[-ONE_SAMPLE_BYTES] != _LABEL_TAG:
        return head
    return raw[: labels_end(raw)]


def labels_first(raw: bytes) -> bytes:
    """The same series with its Label fields moved to the front, where everything in this module expects them."""
    labels: list[bytes] = []
    rest: list[bytes] = []
    pos = 0
    for number, _, _, end in walk(raw):
        (labels if number == 1 else rest).append(raw[pos:end])
        pos = end
    return b"".join(labels + rest)


def decode_labels(raw_labels: bytes) -> LabelPairs:
    """The labels of encoded Label fields (or of a whole raw series), sorted by name, empty values left out.

    Raises CorruptMessage for bytes that are no labels, InvalidLabels for an empty or a repeated name.
    """
    return _regular_labels(raw_labels) or _any_labels(raw_labels)


def _regular_labels(raw_labels: bytes) -> LabelPairs | None:
    """Labels as every sender writes them: sorted, none empty, nothing beside them. None where it is not just that.

    Encoded again they are the very same bytes: so there was nothing else in them.
    """
    try:
        found = tuple([(one.name, one.value) for one in TimeSeries.FromString(raw_labels).labels])
    except DecodeError:
        return None
    before = ""
    for name, value in found:
        if name <= before or not value:
            return None
        before = name
    return found if encode_labels(found) == raw_labels else None


def _any_labels(raw_labels: bytes) -> LabelPairs:
    labels: dict[str, str] = {}
    for number, wire_type, start, end in walk(raw_labels):
        if number != 1:
            continue
        if wire_type != LENGTH_DELIMITED:
            raise CorruptMessage(f"the label at byte {start} has wire type {wire_type}")
        name, value = _label(raw_labels[start:end])
        if name in labels:
            raise InvalidLabels(f"label {name!r} stands twice in one series")
        if not name:
            raise InvalidLabels(f"a label with value {value!r} has an empty name")
        labels[name] = value
    return tuple(sorted(pair for pair in labels.items() if pair[1]))


def _label(raw: bytes) -> tuple[str, str]:
    name = value = b""
    for number, wire_type, start, end in walk(raw):
        if number in (1, 2) and wire_type != LENGTH_DELIMITED:
            raise CorruptMessage(f"a label's field {number} has wire type {wire_type}")
        if number == 1:
            name = raw[start:end]
        elif number == 2:
            value = raw[start:end]
    try:
        return name.decode(), value.decode()
    except UnicodeDecodeError:
        raise CorruptMessage(f"label {name!r} is not UTF-8") from None


def count_samples(raw: bytes) -> int:
    """Samples and histograms of a raw series, not decoded. Raises CorruptMessage."""
    pos = labels_end(raw)
    if len(raw) - pos == ONE_SAMPLE_BYTES and raw[pos] == 0x12 and raw[pos + 1] == ONE_SAMPLE_BYTES - 2:
        return 1
    rest = raw[pos:]
    return sum(number in (_SERIES_SAMPLES, _SERIES_HISTOGRAMS) for number, _, _, _ in walk(rest))


def text(body: bytes) -> str:
    """A WriteRequest for people. Raises CorruptMessage."""
    try:
        return str(WriteRequest.FromString(body))
    except DecodeError as error:
        raise CorruptMessage(f"{len(body)} bytes are not a prometheus.WriteRequest: {error}") from None


def without(
    body: bytes, *, exemplars: bool = False, histograms: bool = False, metadata: bool = False, starts: bool = False
) -> tuple[bytes, int]:
    """A body that has lost what is named here; and how many native histograms that were.

    `starts`: the times at which counting began, which are beside samples and histograms. A series of which nothing is
    left is left out. Raises CorruptMessage.
    """
    unwanted = {number for number, lost in ((_SERIES_EXEMPLARS, exemplars), (_SERIES_HISTOGRAMS, histograms)) if lost}
    series, raw_metadata = split_all(body)
    kept: list[bytes] = []
    lost = 0
    for raw in series:
        end = labels_end(raw)
        if len(raw) - end == ONE_SAMPLE_BYTES and raw[end] == _SAMPLE_TAG and raw[end + 1] == ONE_SAMPLE_BYTES - 2:
            kept.append(raw)
            continue
        if starts and len(raw) - end == _SINCE_BYTES and raw[end : end + 3] == _SINCE_HEAD and raw[-7] == _SINCE_TAG:
            kept.append(b"".join((raw[:end], _PLAIN_HEAD, raw[end + 3 : -7])))
            continue
        fields = [raw[:end]]
        before = end
        for number, _, start, stop in walk(raw[end:]):
            if number in unwanted:
                lost += number == _SERIES_HISTOGRAMS
            elif starts and number in _STARTS:
                fields.append(field(number, _without_start(number, raw[end + start : end + stop])))
            else:
                fields.append(raw[before : end + stop])
            before = end + stop
        if len(fields) > 1:
            kept.append(b"".join(fields))
    return join(kept) + (b"" if metadata else join_metadata(raw_metadata)), lost


def _without_start(number: int, content: bytes) -> bytes:
    kept: list[bytes] = []
    before = 0
    for inner, _, _, end in walk(content):
        if inner != _STARTS[number]:
            kept.append(content[before:end])
        before = end
    return b"".join(kept)
