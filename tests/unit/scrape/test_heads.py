"""Heads are the same whether they are held as a list or folded."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.scrape.heads import Heads


def istio_like(count: int) -> list[bytes]:
    labels = b'reporter="destination",source_workload="client-%d",destination_service="shop.svc.cluster.local"'
    return [b"requests_total{" + labels % number + b"} " for number in range(count)]


@pytest.mark.parametrize(
    "heads",
    [
        [],
        [b"up "],
        [b"# TYPE up gauge\n", b"up ", b"\n", b"x "],
        istio_like(3000),
        [b"long{a=" + b"x" * 70_000 + b"} ", b"short "],
        [b"x" * 65_536, *istio_like(2000), b"y" * 65_535],
    ],
)
def test_folded_heads_are_the_same_in_the_same_order(heads: list[bytes]) -> None:
    folded = Heads([*heads, None])
    assert list(folded.each()) == [*heads, None]
    assert folded.at(np.arange(len(heads))) == heads
    folded.fold()
    assert list(folded.each()) == [*heads, None]
    for some in (np.arange(0, len(heads), 2), np.arange(0)):
        assert folded.at(some) == [heads[line] for line in some]
    assert list(folded.each()) == [*heads, None], "each scrape asks again"
    assert folded.listed() == [*heads, None]
    folded.fold()
    assert list(folded.each()) == [*heads, None]
    assert folded.at(np.arange(len(heads))) == heads
    assert folded.size_bytes == sum(map(len, heads))


def test_folded_heads_take_a_tenth_at_most() -> None:
    heads = Heads([*istio_like(3000), None])
    heads.fold()
    assert 0 < heads.held_bytes < heads.size_bytes / 10
