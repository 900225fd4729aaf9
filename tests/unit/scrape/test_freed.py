"""What a target's series cost is given back when they end."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.pieces import Pieces
from tests.support.scraping import PARTITIONS, maker, take

T = 1_700_000_000_000
SERIES = 10_000


@pytest.fixture(autouse=True)
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def held_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def body(count: int, value: int, name: str = "some_metric") -> bytes:
    return b"".join(b'%b{pod="shop-%d",path="/a/b/c"} %d\n' % (name.encode(), number, value) for number in range(count))


@pytest.mark.parametrize("pressed", [False, True])
def test_memory_of_series_that_ended_is_free_three_scrapes_later(pressed: bool) -> None:
    cache = SeriesCache(maker(pieces=Pieces(PARTITIONS, most_kept=64)))
    take(cache, body(10, 0), T)
    empty = held_bytes()
    for turn in range(1, 6):
        take(cache, body(SERIES, turn), T + turn)
        if pressed and cache.wants_pressing:
            list(cache.press())
    full = held_bytes() - empty
    assert full > SERIES * 20, "nothing was held: this test cannot fail"
    for turn in range(6, 9):
        take(cache, body(10, turn), T + turn)
    left = held_bytes() - empty
    assert left < full / 10, f"{left:,} of {full:,} bytes are still held"


def test_series_that_are_others_each_time_do_not_pile_up() -> None:
    cache = SeriesCache(maker())
    held = []
    for turn in range(24):
        lines = body(SERIES // 5, turn).splitlines(keepends=True)
        lines[:100] = [b'other{turn="%d",n="%d"} 1\n' % (turn, number) for number in range(100)]
        assert take(cache, b"".join(lines), T + turn)[0].error is None
        if turn >= 11:
            held.append(held_bytes())
    assert max(held) < 1.25 * held[0]


def test_a_target_that_fails_for_long_holds_no_more_each_time() -> None:
    cache = SeriesCache(maker())
    held = []
    for turn in range(60):
        lines = b"".join(b'm{turn="%d",n="%d"} 1\n' % (turn, number) for number in range(100))
        assert take(cache, lines + b"broken{\n", T + turn)[0].error is not None
        if turn >= 44:
            held.append(held_bytes())
    assert max(held) < 200_000
