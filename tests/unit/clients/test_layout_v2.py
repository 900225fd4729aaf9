"""Requests made of layouts must say what those made series by series say."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pipeline.clients.families import Families
from pipeline.clients.layout_v2 import LEARN_AT, Described, Layout, Layouts
from pipeline.clients.request_v2 import Translator
from pipeline.clock import SystemClock
from tests.unit.clients.test_request_v2 import labels_of
from topics import compression, gaps, labels, write_request
from topics.compression import compress, decompress, join_blocks, preamble_bytes
from topics.gaps import SLOT_BYTES
from topics.histogram import NativeHistogram, histogram_field
from topics.pb.write_request_pb2 import MetricMetadata
from topics.pb.write_request_v2_pb2 import Request
from topics.pressed import Pressed, pressed
from topics.write_request import STALE_NAN

TS = 1_790_000_000_000
DRAW = random.Random(3)
LEARNT = LEARN_AT + 1


def fragment(job: str, values: list[float], at_ms: int = TS) -> bytes:
    """Series of several shapes: some have a label more."""
    made = []
    for index, value in enumerate(values):
        text = {"__name__": ("m_bucket", "m_sum", "other")[index % 3], "job": job, "n": f"{index // 3:05d}"}
        if index % 3 == 0:
            text["le"] = str(index % 7)
        made.append(
            write_request.series(
                write_request.encode_labels(labels.make(text)), write_request.sample_field(value, at_ms)
            )
        )
    return b"".join(made)


def slots_of(body: bytes) -> np.ndarray:
    ends = np.cumsum([len(write_request.join([raw])) for raw in write_request.split(body)])
    return (ends - SLOT_BYTES).astype(np.int32)


def source(job: str, count: int = 90) -> Pressed:
    body = fragment(job, [1.0] * count)
    made = pressed(body, slots_of(body))
    assert made is not None
    return made


def block_of(made: Pressed, values: list[float], at_ms: int = TS) -> bytes:
    return made.block(np.array(values, np.float64).view(np.uint64), write_request.sample_field(0.0, at_ms)[-6:])


def draw(count: int = 90) -> list[float]:
    return [DRAW.choice([0.0, STALE_NAN, DRAW.uniform(-1e9, 1e9)]) for _ in range(count)]


def described(family: str, kind: int, help_text: str, unit: str) -> bytes:
    one = MetricMetadata(metric_family_name=family, type=kind, help=help_text, unit=unit)  # type: ignore[arg-type]
    return write_request.join_metadata([one.SerializeToString()])


def joined(blocks: list[bytes]) -> tuple[bytes, list[tuple[int, int]]]:
    parts = [(compression.decoded_size(one), len(one) - preamble_bytes(one)) for one in blocks]
    return join_blocks(blocks), parts


def said(block: bytes) -> list[object]:
    """Everything that a request says, in its order, whatever its table of symbols looks like."""
    if not block:
        return []  # there is nothing to be said
    found = Request.FromString(decompress(block))
    assert found.symbols[0] == ""
    assert len(set(found.symbols)) == len(found.symbols)
    told: list[object] = []
    for one in found.timeseries:
        about = one.metadata
        samples = [(np.float64(each.value).tobytes(), each.timestamp) for each in one.samples]
        told.append(
            (
                labels_of(found, one),
                samples,
                [each.SerializeToString() for each in one.histograms],
                [(each.value, each.timestamp) for each in one.exemplars],
                (about.type, found.symbols[about.help_ref], found.symbols[about.unit_ref]),
            )
        )
    return told


class Twins:
    """One translator with layouts, one that looks up series by series; fed with the same."""

    def __init__(self) -> None:
        self.quick = Translator(Families(SystemClock()))
        self.plain = Translator(Families(SystemClock()))

    def same(self, blocks: list[bytes]) -> None:
        block, parts = joined(blocks)
        one, other = self.quick.translate(block, parts), self.plain.translate(block)
        assert said(one.block) == said(other.block)
        assert (one.samples, one.histograms, one.exemplars) == (other.samples, other.histograms, other.exemplars)

    def undecoded(self, blocks: list[bytes]) -> bool:
        """Whether there is a layout for each of these."""
        inside = [memoryview(one)[preamble_bytes(one) :] for one in blocks]
        sizes = [compression.decoded_size(one) for one in blocks]
        return all(self.quick._layouts.find(*one) is not None for one in zip(inside, sizes, strict=True))


def test_a_fragment_that_comes_again_is_not_decoded_and_says_the_same():
    twins, made = Twins(), source("a")
    for turn in range(LEARNT + 4):
        blocks = [block_of(made, draw(), TS + turn * 1000)]
        twins.same(blocks)
        assert twins.undecoded(blocks) is (turn + 1 >= LEARNT), turn


def odd() -> bytes:
    """Shapes that have no layout."""
    name = write_request.encode_labels(labels.make({"__name__": "odd", "job": "x"}))
    histogram = histogram_field(NativeHistogram(count=1, sum=2.5, schema=0, zero_count=1), TS)
    exemplar = write_request.exemplar_field((("trace_id", "abc"),), 1.5, TS)
    sample = write_request.sample_field(DRAW.random(), TS)
    return DRAW.choice(
        [
            write_request.series(name, histogram + exemplar),
            write_request.series(name, sample + exemplar),
            write_request.series(name, sample + write_request.sample_field(2.0, TS + 1)),
            fragment("up", [1.0]),
        ]
    )


@pytest.mark.parametrize("with_metadata", [False, True])
def test_requests_of_all_kinds_of_parts_say_the_same(with_metadata):
    twins = Twins()
    sources = {job: source(job, count) for job, count in (("a", 90), ("b", 60), ("c", 33))}
    counts = {"a": 90, "b": 60, "c": 33}
    for turn in range(60):
        blocks = []
        for _ in range(DRAW.randint(1, 5)):
            if DRAW.random() < 0.25:
                blocks.append(compress(odd()))
            elif with_metadata and turn < 50 and DRAW.random() < 0.1:
                family = DRAW.choice(["m", "other", "m_sum"])
                text = DRAW.choice(["", "what it is", "something else"])
                blocks.append(compress(described(family, DRAW.randint(0, 4), text, DRAW.choice(["", "seconds"]))))
            else:
                job = DRAW.choice(sorted(sources))
                blocks.append(block_of(sources[job], draw(counts[job]), TS + turn * 1000))
        twins.same(blocks)
    for turn in range(4 * LEARNT):
        twins.same([block_of(made, draw(counts[job]), TS + turn) for job, made in sources.items()])
    assert twins.undecoded([block_of(made, draw(counts[job])) for job, made in sources.items()])


def test_exemplars_that_come_in_a_part_of_their_own_find_their_series():
    twins, made = Twins(), source("a")
    labels_raw = next(raw[: write_request.labels_end(raw)] for raw in write_request.split(fragment("a", [1.0] * 90)))
    loose = write_request.series(labels_raw, write_request.exemplar_field((("trace_id", "abc"),), 1.5, TS))
    for turn in range(2 * LEARNT):
        blocks = [block_of(made, draw(), TS + turn), compress(loose)]
        twins.same(blocks)
        block, parts = joined(blocks)
        assert twins.quick.translate(block, parts).exemplars == 1


@pytest.mark.parametrize("wrong", ["none", "swapped", "too many", "cut inside"])
def test_parts_that_are_not_told_right_change_nothing(wrong):
    twins = Twins()
    first, second = source("a", 90), source("b", 60)
    for turn in range(3 * LEARNT):
        blocks = [block_of(first, draw(90), TS + turn), block_of(second, draw(60), TS + turn)]
        block, parts = joined(blocks)
        told = {
            "none": [],
            "swapped": parts[::-1],
            "too many": [*parts, (1, 1)],
            "cut inside": [(parts[0][0] - 5, parts[0][1]), (parts[1][0] + 5, parts[1][1])],
        }[wrong]
        try:
            one = twins.quick.translate(block, told)
        except Exception as error:  # noqa: BLE001
            pytest.fail(f"{error!r}")
        assert said(one.block) == said(twins.plain.translate(block).block)


def test_more_symbols_than_layouts_reach_are_done_the_plain_way():
    twins = Twins()
    many = b"".join(
        write_request.series(
            write_request.encode_labels(labels.make({"__name__": f"m{number}", "x": f"v{number}"})),
            write_request.sample_field(1.0, TS),
        )
        for number in range(9000)
    )
    twins.same([compress(many)])  # these come first in every table
    made = source("a", 90)
    for turn in range(LEARNT + 1):
        twins.same([block_of(made, draw(), TS + turn)])
    twins.same([block_of(made, draw()), compress(many)])


def test_a_layout_has_no_more_symbols_than_references_reach():
    body = fragment("a", [1.0])
    literal = bytes((60 << 2, len(body) - 1)) + body
    found = gaps.find(literal, len(body), slots_of(body))
    assert found is not None
    with pytest.raises(ValueError, match="too many"):
        Layout(found, [Described(np.arange(1 << 15, dtype=np.uint32))])


def test_layouts_are_bounded_in_bytes():
    translator = Translator(Families(SystemClock()))
    translator._layouts = Layouts(max_bytes=40_000)
    for job in "abcdefgh":
        made = source(job)
        for _ in range(LEARNT + 1):
            translator.translate(*joined([block_of(made, draw())]))
    memo = translator._layouts._memo
    assert 0 < memo._bytes <= 40_000
    assert memo._bytes == sum(map(memo._price, memo.known.values()))
