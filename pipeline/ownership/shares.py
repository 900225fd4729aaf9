"""Shares: what replicas own, each a partition of the control topic. A target belongs to one share by its URL, for ever
and in every process alike.

The URL alone decides: when only the labels of a target change (a reload that reaches one replica before another), it
stays where it is.
"""

from __future__ import annotations

from xxhash import xxh3_64_intdigest

from topics.definitions import CONTROL_PARTITIONS

SHARES = CONTROL_PARTITIONS
"""So many can be moved one by one. Ten replicas then differ by one share of six or seven; no setting, because every
replica must count alike."""

ALL = frozenset(range(SHARES))


def share_of(url: str) -> int:
    """The share of the target that is scraped at `url`: 0 to `SHARES` - 1."""
    return xxh3_64_intdigest(url.encode()) % SHARES
