"""Snappy blocks: limits, corruption, joining without decoding."""

from __future__ import annotations

import random

import pytest
import snappy as python_snappy

from topics import compression
from topics.errors import CorruptBlock, TooLarge
from topics.wire import varint


def random_data(rng: random.Random) -> bytes:
    size = rng.choice([0, 1, 60, 61, 1000, 70_000, 200_000])
    return rng.randbytes(size // 2) + bytes(rng.choices(b"abc", k=size - size // 2))


def test_random_data_survives_and_another_decoder_agrees():
    rng = random.Random(31)
    for _ in range(40):
        data = random_data(rng)
        block = compression.compress(data)
        assert compression.decoded_size(block) == len(data)
        assert compression.decompress(block) == data
        assert python_snappy.uncompress(block) == data
        assert compression.compress(memoryview(data)) == block


def test_joined_blocks_decode_to_the_joined_data():
    rng = random.Random(32)
    for _ in range(40):
        parts = [random_data(rng) for _ in range(rng.randint(0, 8))]
        joined = compression.join_blocks([compression.compress(part) for part in parts])
        assert compression.decompress(joined) == b"".join(parts)


def test_a_block_that_would_grow_beyond_the_limit_is_refused_before_it_is_decoded():
    bomb = varint(1 << 31) + b"\x00"
    with pytest.raises(TooLarge, match=str(1 << 31)):
        compression.decompress(bomb)
    block = compression.compress(bytes(1000))
    assert compression.decompress(block, limit_bytes=1000) == bytes(1000)
    with pytest.raises(TooLarge):
        compression.decompress(block, limit_bytes=999)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\x80",
        b"\xff" * 12,
        varint(1 << 32) + b"x",
        b"\x05\x10abc",
        b"\x05",
        b"\x03\x08abcd",
        b"\x04\x01\x09",
        b"hello world",
    ],
)
def test_bytes_that_are_no_block_are_refused(bad):
    with pytest.raises(CorruptBlock):
        compression.decompress(bad)


def test_joining_checks_the_preambles():
    good = compression.compress(b"abc")
    with pytest.raises(CorruptBlock):
        compression.join_blocks([good, b""])
    with pytest.raises(CorruptBlock):
        compression.join_blocks([b"\xff"])
    with pytest.raises(TooLarge):
        compression.join_blocks([varint((1 << 32) - 1), good])


def test_one_block_alone_is_handed_back_as_it_is():
    block = compression.compress(b"abc")
    assert compression.join_blocks([block]) is block
