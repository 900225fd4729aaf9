"""Shares are the same in every process and in every version, or two replicas would scrape one target."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.ownership.shares import ALL, SHARES, share_of
from topics.keys import canonical
from topics.labels import make


@pytest.mark.parametrize(
    ("labels", "share"),
    [({"instance": "10.0.0.1:9100", "job": "node"}, 42), ({"instance": "10.0.0.2:9100", "job": "node"}, 34), ({}, 2)],
)
def test_labels_belong_to_a_share_for_ever(labels: dict[str, str], share: int) -> None:
    assert share_of(canonical(make(labels))) == share


def test_shares_are_even() -> None:
    found = Counter(
        share_of(canonical(make({"instance": f"10.0.{n // 250}.{n % 250}:9100", "job": "node"}))) for n in range(10_000)
    )
    assert set(found) == ALL
    assert len(ALL) == SHARES
    assert max(found.values()) < 1.4 * 10_000 / SHARES
