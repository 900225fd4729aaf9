"""Values are taken out of compressed fragments only where nothing else depends on them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from topics import gaps, labels, write_request
from topics.compression import compress, decompress, preamble_bytes, with_preamble
from topics.errors import CorruptBlock
from topics.gaps import SLOT_BYTES
from topics.pressed import filled, pressed
from topics.snappy_elements import elements

NOW_MS = 1_790_000_000_000
DRAW = random.Random(5)


def fragment(values: list[float], at_ms: int = NOW_MS, *, pad: int = 30) -> bytes:
    made = []
    for index, value in enumerate(values):
        text = {"__name__": "m_total", "pod": f"pod-{index // 7}", "le": str(index % 7), "x": "y" * pad}
        encoded = write_request.encode_labels(labels.make(text))
        made.append(write_request.series(encoded, write_request.sample_field(value, at_ms)))
    return b"".join(made)


def slots_of(body: bytes) -> np.ndarray:
    ends = np.cumsum([len(write_request.join([raw])) for raw in write_request.split(body)])
    return (ends - SLOT_BYTES).astype(np.int32)


def bits(values: list[float]) -> np.ndarray:
    return np.array(values, np.float64).view(np.uint64)


def stamp(at_ms: int) -> bytes:
    return write_request.sample_field(0.0, at_ms)[-6:]


def inside(block: bytes) -> memoryview:
    return memoryview(block)[preamble_bytes(block) :]


def some_values(count: int) -> list[float]:
    return [DRAW.choice([0.0, 1.0, write_request.STALE_NAN, DRAW.uniform(-1e9, 1e9)]) for _ in range(count)]


@pytest.mark.parametrize("size", [1, 10, 60, 61, 256, 5000, 70_000, 300_000])
@pytest.mark.parametrize("kind", ["random", "zeros", "text"])
def test_elements_say_where_every_byte_comes_from(size, kind):
    data = {
        "random": DRAW.randbytes(size),
        "zeros": bytes(size),
        "text": b"".join(b"line %d of %d;" % (n, n * n) for n in range(size // 8 + 1))[:size],
    }[kind]
    compressed = inside(compress(data))
    made = bytearray()
    for at, distance, length in elements(compressed, size):
        for index in range(length):
            made.append(made[-distance] if distance else compressed[at + index])
    assert made == data


@pytest.mark.parametrize("size", [399, 401])
def test_elements_that_do_not_decode_to_what_is_said_are_refused(size):
    with pytest.raises(CorruptBlock):
        list(elements(inside(compress(b"ab" * 200)), size))


@pytest.mark.parametrize("cut", [1, 5])
def test_elements_that_are_cut_off_are_refused(cut):
    with pytest.raises(CorruptBlock):
        list(elements(inside(compress(DRAW.randbytes(500)))[:-cut], 500))


def test_a_copy_from_before_the_beginning_is_refused():
    with pytest.raises(CorruptBlock):
        list(elements(b"\x00a" + bytes((3 << 2 | 2, 9, 0)), 5))


def test_a_pressed_fragment_decodes_to_what_filling_in_gives():
    body = fragment([1.0] * 300)
    made = pressed(body, slots_of(body))
    assert made is not None
    for turn in range(5):
        values = some_values(300)
        at_ms = NOW_MS + turn * 12_345
        block = made.block(bits(values), stamp(at_ms))
        assert decompress(block) == fragment(values, at_ms)
        assert decompress(block) == bytes(filled(body, slots_of(body), bits(values), stamp(at_ms)))


def test_values_are_read_from_compressed_bytes_without_decoding_them():
    body = fragment([1.0] * 300)
    source = pressed(body, slots_of(body))
    assert source is not None
    first = source.block(bits(some_values(300)), stamp(NOW_MS))
    found = gaps.find(inside(first), len(body), slots_of(body))
    assert found is not None
    for turn in range(5):
        values = some_values(300)
        read = found.read(inside(source.block(bits(values), stamp(NOW_MS + turn))))
        assert read is not None
        assert (read[0] == bits(values)).all()
        assert read[1] == stamp(NOW_MS + turn)


def test_any_other_byte_that_differs_is_seen():
    body = fragment([1.0] * 40)
    source = pressed(body, slots_of(body))
    assert source is not None
    block = source.block(bits(some_values(40)), stamp(NOW_MS))
    found = gaps.find(inside(block), len(body), slots_of(body))
    assert found is not None
    moving = {int(at) + index for at in found.values for index in range(8)} | set(found.stamps.ravel().tolist())
    compressed = bytes(inside(block))
    for at in range(len(compressed)):
        other = bytearray(compressed)
        other[at] ^= 1
        if at not in moving:
            assert found.read(bytes(other)) is None


def test_bytes_that_values_share_with_anything_else_are_no_gaps():
    """Plain snappy copies from values where they look alike; then they must not be changed alone."""
    values = [float(number) for number in range(100)]
    body = fragment(values)
    block = compress(body)
    assert gaps.find(inside(block), len(body), slots_of(body)) is None


def test_a_label_that_is_copied_from_a_value_is_no_gap():
    text = np.array([0x6162636465666768], np.uint64).view(np.float64)[0]
    raw = b"".join(
        write_request.series(
            write_request.encode_labels(labels.make({"__name__": name})),
            write_request.sample_field(float(text), NOW_MS),
        )
        for name in ("mmmmmmmm", "hgfedcba")
    )
    ends = slots_of(raw)
    value_at = int(ends[0])
    name_at = raw.index(b"hgfedcba", value_at + 9)
    # everything as literals, but for the second name, which copies the first value
    body = memoryview(raw)
    compressed = b"".join(
        (
            bytes((60 << 2, name_at - 1)), body[:name_at],
            bytes((7 << 2 | 2, *(name_at - value_at).to_bytes(2, "little"))),
            bytes((60 << 2, len(raw) - name_at - 9)), body[name_at + 8 :],
        )
    )  # fmt: skip
    assert decompress(with_preamble(len(raw), compressed)) == raw
    assert gaps.find(compressed, len(raw), ends) is None


def test_several_timestamps_are_not_read_as_one():
    body = fragment([1.0] * 10) + fragment([2.0] * 10, NOW_MS + 1)
    literal = bytes((61 << 2, *(len(body) - 1).to_bytes(2, "little"))) + body
    found = gaps.find(literal, len(body), slots_of(body))
    assert found is not None
    assert found.read(literal) is None
    same = fragment([1.0] * 10) + fragment([2.0] * 10)
    assert found.read(bytes((61 << 2, *(len(body) - 1).to_bytes(2, "little"))) + same) is not None


def test_what_is_no_fragment_of_ordinary_series_is_not_pressed():
    body = fragment([1.0] * 10)
    assert pressed(body + b"\x1a\x00", slots_of(body)) is None
    assert pressed(b"", np.empty(0, np.int32)) is None
