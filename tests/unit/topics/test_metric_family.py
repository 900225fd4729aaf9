from __future__ import annotations

import pytest

from topics.errors import CorruptMessage
from topics.metric_family import decode_family, decode_label, decode_metric, families
from topics.pb import metric_family_pb2 as pb
from topics.wire import field, varint


def test_families_are_cut_by_the_lengths_before_them() -> None:
    assert list(families(b"\x01a\x00\x02bc")) == [(0, b"a"), (2, b""), (3, b"bc")]
    assert list(families(b"")) == []


@pytest.mark.parametrize("body", [b"\x02a", b"\x80", b"\x80\x80\x80\x80\x80\x01" + b"a" * 9])
def test_a_length_that_cannot_be_is_refused(body: bytes) -> None:
    with pytest.raises(CorruptMessage):
        list(families(body))


@pytest.mark.parametrize(
    ("name", "value"), [("b", "c"), ("b", ""), ("größe", "世" * 60), ("n" * 127, "v" * 127), ("n" * 200, "v" * 9000)]
)
def test_a_label_is_read_whatever_its_length(name: str, value: str) -> None:
    assert decode_label(field(1, name.encode()) + field(2, value.encode())) == (name, value)
    assert decode_label(field(2, value.encode()) + field(1, name.encode())) == (name, value)


def test_a_label_may_lack_a_part_and_have_unknown_ones() -> None:
    assert decode_label(field(1, b"b")) == ("b", "")
    assert decode_label(field(2, b"c")) == ("", "c")
    assert decode_label(field(1, b"a") + field(9, b"x") + field(1, b"b")) == ("b", "")


@pytest.mark.parametrize(
    "raw",
    [
        field(1, b"") + field(2, b"c"),
        field(1, b"\xff") + field(2, b"c"),
        field(1, b"b") + field(2, b"\xff"),
        field(1, b"b") + b"\x10\x01",
        field(1, b"b") + b"\x12\x05c",
        b"\x0a\x7fb\x12\x01c",
        b"\x0a",
    ],
)
def test_what_is_no_label_is_refused(raw: bytes) -> None:
    with pytest.raises(CorruptMessage):
        decode_label(raw)


def test_metrics_are_decoded_apart_from_their_family() -> None:
    metric = pb.Metric(counter=pb.Counter(value=2)).SerializeToString()
    family = decode_family(field(1, b"a") + field(4, metric) + field(4, b"\xff"))
    assert (family.name, list(family.metric)) == (b"a", [metric, b"\xff"])
    assert decode_metric(metric).counter.value == 2
    with pytest.raises(CorruptMessage):
        decode_metric(b"\xff")


@pytest.mark.parametrize(
    ("raw", "legal"),
    [
        (field(7, b"\x60\x00"), False),  # a span as a number
        (field(7, field(13, varint(2))), True),  # deltas packed
        (field(7, b"\x68\x02"), True),  # and not packed
        (field(7, field(14, bytes(8))), True),
        (field(7, field(3, b"\x0a\x00")), False),  # a bucket's count as a text
        (field(99, b"anything"), True),
        (b"\x9b\x06\x08\x01\x9c\x06", True),  # an unknown group
        (b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", True),
    ],
)
def test_a_known_field_must_have_its_own_wire_type(raw: bytes, legal: bool) -> None:
    if legal:
        decode_metric(raw)
    else:
        with pytest.raises(CorruptMessage, match="has wire type"):
            decode_metric(raw)
