"""Plans: whole fragments relabelled at once must be what relabelling them series by series gives."""

from __future__ import annotations

import random
import struct

import pytest

from agents.content import plan as plans
from agents.content.rewrite import MetricsRewriter
from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule
from tests.unit.agents.content.test_rewrite import ADD, DROP_A, DROP_ALL, DROP_JOB, decoded, rich, rules, twin
from topics import labels as label_sets
from topics import write_request

NOW_MS = 1_790_000_000_000
RULE_SETS = {
    "rewrite all": (ADD, DROP_JOB),
    "drop some": (DROP_A, ADD),
    "drop only": (DROP_A,),
    "touch none": ({"source_labels": ("app",), "regex": "nobody", "action": "drop"},),
    "drop all": (DROP_ALL,),
}


def fragment(values: list[float], at_ms: int = NOW_MS, *, job: str = "j", pad: int = 40) -> bytes:
    """One series for each value, large enough together to be worth a plan."""
    made = []
    for index, value in enumerate(values):
        labels = {"__name__": "m", "app": "ab"[index % 2], "job": job, "n": f"{index:05d}", "pad": "x" * pad}
        encoded = write_request.encode_labels(label_sets.make(labels))
        made.append(write_request.series(encoded, write_request.sample_field(value, at_ms)))
    return b"".join(made)


def program(*raw: dict) -> Program:
    return Program([RelabelRule.build(**one) for one in raw])


def planned(rewriter: MetricsRewriter, body: bytes) -> bool:
    """Whether a plan does this body."""
    found = rewriter._plans.find(body)
    return found is not None and found.apply(body) is not None


@pytest.mark.parametrize("chosen", RULE_SETS.values(), ids=RULE_SETS)
def test_a_planned_fragment_is_what_each_series_alone_becomes(chosen: tuple[dict, ...]) -> None:
    draw = random.Random(7)
    rewriter = MetricsRewriter(rules(*chosen))
    for turn in range(6):
        body = fragment([draw.uniform(-1e9, 1e9) for _ in range(200)], NOW_MS + turn * 15_000)
        assert planned(rewriter, body) is (turn > 1), "known after the first turn, planned after the second"
        done = rewriter.rewrite(body)
        alone = MetricsRewriter(rules(*chosen))._each(body)
        assert (done.body or b"") == (alone.body or b"")
        assert (done.unchanged, done.dropped_series, done.ruled_out) == (
            alone.unchanged,
            alone.dropped_series,
            alone.ruled_out,
        )
        assert decoded(done.body) == twin(body, program(*chosen))


def test_fragments_of_a_body_are_done_one_by_one_and_in_order() -> None:
    rewriter = MetricsRewriter(rules(DROP_A, ADD))
    for turn in range(4):
        parts = [fragment([turn + place / 10] * 150, job=f"job-{place}") for place in (1, 2, 3)]
        body = b"".join(parts)
        done = rewriter.rewrite(body, [len(part) for part in parts])
        assert decoded(done.body) == twin(body, program(DROP_A, ADD))
        assert done.ruled_out == {"0": 225}
    assert all(planned(rewriter, part) for part in parts)
    # Other neighbours, the same fragments: still planned, and still right.
    other = parts[2] + parts[0]
    assert decoded(rewriter.rewrite(other, [len(parts[2]), len(parts[0])]).body) == twin(other, program(DROP_A, ADD))


@pytest.mark.parametrize("sizes", [(), (1,), (10, 10), "inside", "too many"])
def test_sizes_that_are_not_true_change_nothing(sizes: object) -> None:
    body = fragment([1.0] * 200)
    told = {"inside": (len(body) // 2 + 3, len(body) - len(body) // 2 - 3), "too many": (len(body), 1)}.get(
        str(sizes), sizes
    )
    rewriter = MetricsRewriter(rules(ADD))
    for _ in range(3):
        assert decoded(rewriter.rewrite(body, told).body) == twin(body, program(ADD))


def test_stale_markers_and_every_other_nan_keep_their_bits() -> None:
    rewriter = MetricsRewriter(rules(ADD))
    for _ in range(2):
        rewriter.rewrite(fragment([1.0] * 200))
    body = fragment([write_request.STALE_NAN] * 200)
    assert planned(rewriter, body)
    done = rewriter.rewrite(body).body
    assert done is not None
    assert done.count(struct.pack("<Q", write_request.STALE_NAN_BITS)) == 200


@pytest.mark.parametrize("place", ["first label", "middle label", "last label", "sample head", "timestamp tag"])
def test_a_fragment_that_differs_in_one_byte_outside_the_slots_is_not_taken_for_the_planned_one(place: str) -> None:
    rewriter = MetricsRewriter(rules(ADD))
    body = fragment([1.0] * 200)
    for _ in range(2):
        rewriter.rewrite(body)
    assert planned(rewriter, body)
    size = len(body) // 200
    at = {
        "first label": body.index(b"xxxx"),
        "middle label": body.index(b"xxxx", 100 * size),
        "last label": body.rindex(b"xxxx"),
        "sample head": 100 * size - 16,
        "timestamp tag": 100 * size - 7,
    }[place]
    other = bytearray(body)
    other[at] ^= 1
    assert not planned(rewriter, bytes(other))


def test_a_series_that_comes_or_goes_is_seen() -> None:
    rewriter = MetricsRewriter(rules(DROP_A, ADD))
    for count in (200, 200, 200, 201, 201, 199, 200):
        body = fragment([float(count)] * count)
        assert decoded(rewriter.rewrite(body).body) == twin(body, program(DROP_A, ADD))


def test_series_that_are_not_ordinary_are_never_planned() -> None:
    rewriter = MetricsRewriter(rules(ADD))
    odd = fragment([1.0] * 200) + rich("odd", app="b")
    old = fragment([1.0] * 200, at_ms=5)  # a timestamp of another size
    for body in (odd, old):
        for _ in range(3):
            assert decoded(rewriter.rewrite(body).body) == twin(body, program(ADD))
        assert not planned(rewriter, body)


def test_plans_are_bounded_in_bytes() -> None:
    kept = plans.Plans(max_bytes=20_000)
    rewriter = MetricsRewriter(rules(ADD))
    rewriter._plans = kept
    for turn in range(2):
        for job in range(40):
            rewriter.rewrite(fragment([float(turn)] * 200, job=f"job-{job}"))
    assert 0 < kept._memo._bytes <= 20_000
    assert kept._memo._bytes == sum(map(kept._memo._price, kept._memo.known.values()))
