"""The protobuf exposition of a scrape target: its messages, cut out of a body and decoded one by one.

Schema: proto/metric_family.proto. Refused is what Prometheus's decoder refuses (prompb/io/prometheus/client), which is
more than protobuf asks for: a known field that comes with another wire type is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from topics.errors import CorruptMessage
from topics.pb import metric_family_pb2 as pb
from topics.wire import FIXED64, LENGTH_DELIMITED, START_GROUP, VARINT, read_varint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM = range(6)

_MOST_LENGTH_BYTES = 5
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: FIXED64,
    FieldDescriptor.TYPE_BYTES: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: LENGTH_DELIMITED,
}  # fmt: skip


def families(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each message begins, and its bytes. Raises CorruptMessage at the first length that cannot be."""
    position, size = 0, len(body)
    while position < size:
        start = position
        length, position = read_varint(body, position)
        if position - start > _MOST_LENGTH_BYTES:
            raise CorruptMessage(f"the length at byte {start} is longer than {_MOST_LENGTH_BYTES} bytes")
        end = position + length
        if end > size:
            raise CorruptMessage(f"the message at byte {start} claims to end at byte {end} of {size}")
        yield start, body[position:end]
        position = end


def decode_family(raw: bytes) -> pb.MetricFamily:
    """A family, its metrics still raw. Raises CorruptMessage."""
    family = pb.MetricFamily()
    _decode(family, raw)
    return family


def decode_metric(raw: bytes) -> pb.Metric:
    """A metric, its labels still raw. Raises CorruptMessage."""
    metric = pb.Metric()
    _decode(metric, raw)
    return metric


def decode_label(raw: bytes) -> tuple[str, str]:
    """Name and value. Raises CorruptMessage, also for what is no UTF-8, and for a name without letters."""
    try:
        # The usual shape: both fields, in their order, with lengths of one byte.
        middle = raw[1] + 2
        if raw[0] == 0x0A and raw[middle] == 0x12 and raw[middle + 1] == len(raw) - middle - 2 < 128 > raw[1] > 0:
            return raw[2:middle].decode(), raw[middle + 2 :].decode()
    except (IndexError, UnicodeDecodeError):
        pass
    pair = pb.LabelPair()
    _decode(pair, raw)
    if pair.HasField("name") and not pair.name:
        raise CorruptMessage("a label has an empty name")
    try:
        return pair.name.decode(), pair.value.decode()
    except UnicodeDecodeError:
        raise CorruptMessage(f"the label {pair.name!r} is not UTF-8") from None


def _decode(message: Message, raw: bytes) -> None:
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise CorruptMessage(f"{len(raw)} bytes are no {message.DESCRIPTOR.name}: {error}") from None
    # What is written in the usual way and has no field but ours is as long as it came.
    message.DiscardUnknownFields()
    if message.ByteSize() != len(raw):
        _check(raw, cast("Descriptor", message.DESCRIPTOR))


def _check(raw: bytes, message: Descriptor) -> None:
    """Raise CorruptMessage for a known field that has another wire type than its own."""
    for number, wire_type, start, end in _fields(raw):
        known = message.fields_by_number.get(number)
        if known is None:
            continue
        expected = _WIRE_TYPES.get(known.type, VARINT)
        packed = known.is_repeated and wire_type == LENGTH_DELIMITED and known.type in _PACKABLE
        if wire_type != expected and not packed:
            raise CorruptMessage(f"the field {known.name} of {message.name} has wire type {wire_type}")
        if known.message_type is not None:
            _check(raw[start:end], known.message_type)


_PACKABLE = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_SINT64)


def _fields(raw: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, start and end of every field's content. The bytes were decoded before: they are in order."""
    position, size = 0, len(raw)
    depth = 0
    while position < size:
        tag, position = read_varint(raw, position)
        wire_type = tag & 7
        start = position
        match wire_type:
            case 0:
                while raw[position] >= 128:  # how great it is does not matter here
                    position += 1
                position += 1
            case 1:
                position += 8
            case 2:
                length, start = read_varint(raw, position)
                position = start + length
            case 5:
                position += 4
            case _:
                depth += 1 if wire_type == START_GROUP else -1
                continue
        if depth == 0:
            yield tag >> 3, wire_type, start, position
