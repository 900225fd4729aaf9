"""Pressed sheets decode to the very bytes that plain ones hold."""

from __future__ import annotations

import random
from collections.abc import Generator
from itertools import zip_longest

import numpy as np
import pytest

from pipeline.producer.appender import Fragment
from pipeline.scrape.pressed_sheet import PressedSheet, press_sheet
from pipeline.scrape.sheet import Encoded, Sheet
from topics.compression import compress, decompress
from topics.labels import make
from topics.press import MARK, SLOT_BYTES, pieces, press
from topics.wire import varint
from topics.write_request import encode_labels

T = 1_700_000_000_000


def pressed(sheet: Sheet) -> PressedSheet:
    result = run(press_sheet(sheet))
    assert result is not None
    return result


def run(steps: Generator[None, None, PressedSheet | None]) -> PressedSheet | None:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: PressedSheet | None = done.value
            return result


def decoded(fragments: list[Fragment]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for fragment in fragments:
        payload = decompress(fragment.payload) if fragment.compressed else bytes(fragment.payload)
        found[fragment.partition] = found.get(fragment.partition, b"") + payload
    return found


def istio_like(count: int, partitions: int, *, extra: int = 0) -> list[Encoded]:
    r = random.Random(count)
    found = []
    for number in range(count):
        labels = {
            "__name__": r.choice(["istio_requests_total", "istio_request_duration_milliseconds_bucket"]),
            "destination_service": f"service-{number % 7}.shop.svc.cluster.local",
            "le": str(number % 20),
            "pod": f"pod-{r.randrange(10**6):x}",
            "x": "".join(r.choices("abé\n", k=r.randrange(1, 3 + extra))),
        }
        found.append((r.randrange(partitions), encode_labels(make(labels))))
    return found


@pytest.mark.parametrize(
    ("count", "partitions", "extra"),
    [(1, 1, 0), (2, 1, 0), (500, 1, 0), (3000, 12, 0), (300, 2, 5000), (4, 1, 200_000)],
)
def test_a_pressed_sheet_decodes_to_what_the_plain_one_holds(count: int, partitions: int, extra: int) -> None:
    plain = Sheet(istio_like(count, partitions, extra=extra))
    small = pressed(plain)
    for n in range(2):
        values = np.random.default_rng(n).normal(size=count)
        assert decoded(small.write(values, T + n)) == decoded(plain.write(values, T + n))
    assert decoded(small.write_stale(T)) == decoded(plain.write_stale(T))
    series = small.plain()
    assert [series.encoded(place) for place in range(count)] == [plain.encoded(place) for place in range(count)]


def test_fragments_say_how_many_series_they_hold() -> None:
    fragments = pressed(Sheet(istio_like(3000, 12))).write(np.zeros(3000), T)
    assert sum(fragment.series for fragment in fragments) == 3000
    assert all(fragment.compressed for fragment in fragments)
    assert {(fragment.min_ts_ms, fragment.max_ts_ms) for fragment in fragments} == {(T, T)}


def test_it_takes_a_fraction_of_the_memory() -> None:
    plain = Sheet(istio_like(3000, 1))
    assert pressed(plain).size_bytes < plain.size_bytes / 2


def test_no_block_decodes_to_more_than_a_bound() -> None:
    fragments = pressed(Sheet(istio_like(3000, 1, extra=2000))).write(np.zeros(3000), T)
    assert len(fragments) > 1
    assert max(len(decompress(fragment.payload)) for fragment in fragments) < 1_100_000


@pytest.mark.parametrize("seed", range(40))
def test_elements_of_any_parts_decode_to_parts_and_slots(seed: int) -> None:
    r = random.Random(seed)
    alphabet = [bytes([r.randrange(256)]) * r.choice([1, 1, 3, 70]) for _ in range(r.choice([1, 2, 8, 200]))]
    parts = [b"".join(r.choices(alphabet, k=r.choice([1, 2, 10, 300]))) for _ in range(r.randrange(1, 120))]
    plain = bytes(set(range(256)) - set(MARK))
    parts = [b"\x10" + MARK * r.randrange(2) + bytes(plain[byte % len(plain)] for byte in part) for part in parts]
    out = bytearray()
    slots: list[int] = []
    marks: list[int] = []
    for piece in pieces(parts):
        press(piece, out, slots, marks)
    for slot in slots:
        out[slot : slot + SLOT_BYTES] = b"\xff" * SLOT_BYTES
    for mark in marks:
        out[mark] -= 0xF8
    expected = b"".join(part.replace(MARK, bytes(range(6))) + b"\xff" * SLOT_BYTES for part in parts)
    assert decompress(varint(len(expected)) + bytes(out)) == expected
    assert len(slots) == len(parts)


def test_pieces_are_all_of_it_in_order() -> None:
    parts = [bytes(size) for size in (10, 100_000, 20, 40_000, 40_000, 1)]
    assert [part for piece in pieces(parts) for part in piece] == parts
    assert [[len(part) for part in piece] for piece in pieces(parts)] == [[10, 100_000], [20, 40_000, 40_000], [1]]


def test_the_price_in_size_is_small() -> None:
    plain = Sheet(istio_like(3000, 1))
    values = np.arange(3000, dtype=np.float64)
    usual = sum(len(compress(fragment.payload)) for fragment in plain.write(values, T))
    ours = sum(len(fragment.payload) for fragment in pressed(plain).write(values, T))
    assert ours < usual * 1.4


def test_nothing_is_nothing() -> None:
    assert list(zip_longest(pieces([]))) == []
    assert pressed(Sheet([])).write(np.zeros(0), T) == []


def test_a_label_that_looks_like_a_mark_is_no_timestamp() -> None:
    series = [(0, b"\x0a\x08" + MARK + bytes([number, 0])) for number in range(200)]
    assert run(press_sheet(Sheet(series))) is None, "not pressed, rather than pressed wrongly"
