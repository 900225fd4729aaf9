"""Fragments relabelled without being decoded must be what relabelling their series one by one gives."""

from __future__ import annotations

import random

import pytest

from agents.content.pressed_plan import PressedPlans
from agents.content.rewrite import MetricsRewriter, Rewritten
from agents.content.rewrite_block import PRESS_AT, BlockRewriter
from tests.unit.agents.content.test_plan import NOW_MS, RULE_SETS, fragment
from tests.unit.agents.content.test_rewrite import ADD, DROP_A, DROP_ALL, rich, rules
from tests.unit.topics.test_gaps import bits, slots_of, stamp
from topics.compression import compress, decompress, join_blocks, preamble_bytes
from topics.errors import BadRecord
from topics.pressed import Pressed, pressed
from topics.write_request import STALE_NAN

DRAW = random.Random(11)
LEARNT = PRESS_AT + 2


def source(count: int = 200, job: str = "j") -> Pressed:
    body = fragment([1.0] * count, job=job)
    made = pressed(body, slots_of(body))
    assert made is not None
    return made


def draw(count: int = 200) -> list[float]:
    return [DRAW.choice([0.0, STALE_NAN, DRAW.uniform(-1e9, 1e9)]) for _ in range(count)]


def alone(chosen: tuple[dict, ...], body: bytes) -> Rewritten:
    return MetricsRewriter(rules(*chosen))._each(body)


def same(done: Rewritten, wanted: Rewritten) -> None:
    assert (decompress(done.body) if done.body else b"") == (wanted.body or b"")
    assert (done.unchanged, done.dropped_series, done.ruled_out) == (
        wanted.unchanged,
        wanted.dropped_series,
        wanted.ruled_out,
    )


def is_pressed(rewriter: BlockRewriter, block: bytes, fragments: list[int], elements: list[int]) -> bool:
    """Whether nothing of this block is decoded."""
    kept, rewriter._rewriter = rewriter._rewriter, None  # type: ignore[assignment]
    try:
        rewriter.rewrite(block, fragments, elements)
    except AttributeError:
        return False
    finally:
        rewriter._rewriter = kept
    return True


@pytest.mark.parametrize("chosen", RULE_SETS.values(), ids=RULE_SETS)
def test_a_fragment_that_is_not_decoded_is_what_each_series_alone_becomes(chosen):
    made = source()
    rewriter = BlockRewriter(MetricsRewriter(rules(*chosen)))
    for turn in range(LEARNT + 4):
        values, at_ms = draw(), NOW_MS + turn * 15_000
        block = made.block(bits(values), stamp(at_ms))
        assert is_pressed(rewriter, block, [], []) is (turn >= LEARNT), turn
        same(rewriter.rewrite(block, [], []), alone(chosen, fragment(values, at_ms)))


def joined(parts: list[tuple[bytes, int]]) -> tuple[bytes, list[int], list[int]]:
    """Blocks and decoded sizes as a value and what the headers say of it."""
    blocks = [block for block, _ in parts]
    return join_blocks(blocks), [size for _, size in parts], [len(one) - preamble_bytes(one) for one in blocks]


def test_fragments_of_a_record_are_done_one_by_one_whatever_stands_beside_them():
    chosen = (DROP_A, ADD)
    sources = {job: source(job=job) for job in ("job-1", "job-2", "job-3")}
    rewriter = BlockRewriter(MetricsRewriter(rules(*chosen)))
    for turn in range(12 * LEARNT):
        bodies, parts, later = [], [], 0
        for job in DRAW.sample(sorted(sources), k=DRAW.randint(1, 3)):
            values, at_ms = draw(), NOW_MS + turn * 1000
            bodies.append(fragment(values, at_ms, job=job))
            parts.append((sources[job].block(bits(values), stamp(at_ms)), len(bodies[-1])))
        for odd in (rich("odd", app="b"), fragment([1.0], job="up"), fragment(draw(300), job="plain")):
            if DRAW.random() < 0.4:
                bodies.append(odd)
                parts.append((compress(odd), len(odd)))
        block, fragments, elements = joined(parts)
        if len(parts) > 2 and turn % 3 == 0:  # the last two stand together
            tail = b"".join(bodies[-2:])
            block = join_blocks([*(one for one, _ in parts[:-2]), compress(tail)])
            later = len(compress(tail)) - preamble_bytes(compress(tail))
            elements[-2:] = [0, later]
        same(rewriter.rewrite(block, fragments, elements), alone(chosen, b"".join(bodies)))
    block, fragments, elements = joined(
        [(one.block(bits(draw()), stamp(NOW_MS)), len(fragment(draw(), job=job))) for job, one in sources.items()]
    )
    assert is_pressed(rewriter, block, fragments, elements)


@pytest.mark.parametrize("wrong", ["none", "few", "swapped", "shifted", "larger", "zero last", "fragments shifted"])
@pytest.mark.parametrize("turns", [1, 4 * LEARNT])
def test_sizes_that_are_not_true_change_nothing(wrong, turns):
    rewriter = BlockRewriter(MetricsRewriter(rules(ADD)))
    sources = {job: source(count, job) for job, count in (("job-1", 200), ("job-2", 260))}
    for turn in range(turns):
        bodies = [fragment([float(turn)] * count, job=job) for job, count in (("job-1", 200), ("job-2", 260))]
        made = [
            (sources[job].block(bits([float(turn)] * count), stamp(NOW_MS)), len(body))
            for body, (job, count) in zip(bodies, (("job-1", 200), ("job-2", 260)), strict=True)
        ]
        block, fragments, elements = joined(made)
        told = {
            "none": (fragments, []),
            "few": (fragments, elements[:1]),
            "swapped": (fragments, elements[::-1]),
            "shifted": (fragments, [elements[0] + 3, elements[1] - 3]),
            "larger": (fragments, [elements[0], elements[1] + 1]),
            "zero last": (fragments, [sum(elements), 0]),
            "fragments shifted": ([fragments[0] + 2, fragments[1] - 2], elements),
        }[wrong]
        same(rewriter.rewrite(block, *told), alone((ADD,), b"".join(bodies)))
        same(rewriter.rewrite(block, fragments, elements), alone((ADD,), b"".join(bodies)))


def test_a_label_that_changes_is_seen():
    rewriter = BlockRewriter(MetricsRewriter(rules(DROP_A, ADD)))
    for _ in range(LEARNT):
        rewriter.rewrite(source().block(bits(draw()), stamp(NOW_MS)), [], [])
    assert is_pressed(rewriter, source().block(bits(draw()), stamp(NOW_MS)), [], [])
    other = source(job="k")
    values = draw()
    block = other.block(bits(values), stamp(NOW_MS))
    assert not is_pressed(rewriter, block, [], [])
    same(rewriter.rewrite(block, [], []), alone((DROP_A, ADD), fragment(values, job="k")))


def test_a_block_that_was_not_compressed_with_gaps_is_done_the_plain_way():
    rewriter = BlockRewriter(MetricsRewriter(rules(ADD)))
    for turn in range(3 * LEARNT):
        body = fragment([float(turn + number) for number in range(200)])
        block = compress(body)
        assert not is_pressed(rewriter, block, [], [])
        same(rewriter.rewrite(block, [], []), alone((ADD,), body))


@pytest.mark.parametrize("rule", [ADD, DROP_ALL], ids=["add", "drop all"])
def test_nothing_stays_nothing(rule):
    done = BlockRewriter(MetricsRewriter(rules(rule))).rewrite(compress(b""), [], [])
    assert done.body is None
    assert done.ruled_out == {}


@pytest.mark.parametrize("block", [b"", b"\x05", compress(b"\x0a\x05ab"), compress(fragment([1.0] * 200))[:-7]])
def test_a_broken_block_is_refused(block):
    with pytest.raises(BadRecord):
        BlockRewriter(MetricsRewriter(rules(ADD))).rewrite(block, [], [])


def test_what_is_remembered_is_bounded_in_bytes():
    rewriter = BlockRewriter(MetricsRewriter(rules(ADD)))
    rewriter._plans = PressedPlans(max_bytes=60_000)
    for job in range(12):
        made = source(job=f"job-{job}")
        for _ in range(LEARNT):
            rewriter.rewrite(made.block(bits(draw()), stamp(NOW_MS)), [], [])
    memo = rewriter._plans._memo
    assert 0 < memo._bytes <= 60_000
    assert memo._bytes == sum(map(memo._price, memo.known.values()))
