"""Shares: what replicas own, each a partition of the control topic. A target belongs to one share by the labels of its
series, for ever and in every process alike.

Labels, not the URL: a target that comes back under another address with the same labels has the same series, and these
must stay in one hand to stay in order.
"""

from __future__ import annotations

from xxhash import xxh3_64_intdigest

from topics.definitions import CONTROL_PARTITIONS

SHARES = CONTROL_PARTITIONS
"""So many can be moved one by one. Ten replicas then differ by one share of six or seven; no setting, because every
replica must count alike."""

ALL = frozenset(range(SHARES))


def share_of(key: bytes) -> int:
    """The share, 0 to `SHARES` - 1, of the target whose labels are `key` in canonical form (`Target.key`)."""
    return xxh3_64_intdigest(key) % SHARES
