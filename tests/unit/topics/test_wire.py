"""Varints, fields and the walk over them."""

from __future__ import annotations

import random

import pytest

from topics import wire
from topics.errors import CorruptMessage


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, b"\x00"), (1, b"\x01"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (4095, b"\xff\x1f"),
        (4096, b"\x80\x20"), (1 << 63, b"\x80" * 9 + b"\x01"), ((1 << 64) - 1, b"\xff" * 9 + b"\x01"),
        (-1, b"\xff" * 9 + b"\x01"),
    ],
)  # fmt: skip
def test_varints_of_the_specification(number, encoded):
    assert wire.varint(number) == encoded
    value, end = wire.read_varint(encoded + b"tail", 0)
    assert (wire.signed(value) if number < 0 else value) == number
    assert end == len(encoded)


def test_random_varints_survive():
    rng = random.Random(1)
    for _ in range(2000):
        number = rng.getrandbits(rng.randint(1, 64))
        assert wire.read_varint(b"xy" + wire.varint(number), 2) == (number, 2 + len(wire.varint(number)))


@pytest.mark.parametrize("bad", [b"", b"\x80", b"\xff" * 9, b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x01"])
def test_a_varint_that_is_cut_off_or_too_long_is_refused(bad):
    with pytest.raises(CorruptMessage):
        wire.read_varint(bad, 0)


def test_the_walk_shows_every_field_where_its_content_stands():
    message = (
        b"\x08\x96\x01" + wire.field(2, b"testing") + b"\x19" + b"12345678" + b"\x25" + b"1234" + wire.field(900, b"")
    )
    assert [(number, kind, message[start:end]) for number, kind, start, end in wire.walk(message)] == [
        (1, wire.VARINT, b"\x96\x01"),
        (2, wire.LENGTH_DELIMITED, b"testing"),
        (3, wire.FIXED64, b"12345678"),
        (4, wire.FIXED32, b"1234"),
        (900, wire.LENGTH_DELIMITED, b""),
    ]


@pytest.mark.parametrize(
    "bad",
    [b"\x0a\x05abc", b"\x0a", b"\x19123", b"\x25123", b"\x08", b"\x00\x01", b"\x0b", b"\x0c", b"\x0e\x01", b"\x0f"],
)
def test_the_walk_refuses_what_is_not_well_formed(bad):
    with pytest.raises(CorruptMessage):
        list(wire.walk(bad))


def test_join_writes_each_message_with_its_length():
    messages = [b"", b"abc", b"x" * 200, b"y" * 5000]
    assert wire.join(b"\x1a", messages) == b"".join(wire.field(3, message) for message in messages)
