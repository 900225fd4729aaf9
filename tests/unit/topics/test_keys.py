"""The key rule. The published vectors are checked in tests/conformance."""

from __future__ import annotations

import random

import pytest

from topics import keys, labels


def test_canonical_bytes_separate_names_and_values_by_a_byte_that_text_cannot_hold():
    assert keys.canonical(()) == b""
    assert keys.canonical((("a", "1"), ("é", "世"))) == b"a\xff1\xff\xc3\xa9\xff\xe4\xb8\x96\xff"
    assert keys.canonical((("a", "bc"),)) != keys.canonical((("ab", "c"),))


def test_partitions_are_contiguous_ranges_that_cover_every_bucket():
    for partitions in (1, 2, 3, 12, 32, 1000, 1024):
        found = [keys.partition(bucket, partitions) for bucket in range(keys.BUCKETS)]
        assert found == sorted(found)
        assert set(found) == set(range(partitions))


@pytest.mark.parametrize("partitions", [0, -1, 1025])
def test_a_partition_count_outside_the_rule_is_refused(partitions):
    with pytest.raises(ValueError, match="1 to 1024"):
        keys.partition(5, partitions)


def test_series_spread_evenly():
    rng = random.Random(3)
    counts = [0] * 12
    for number in range(12_000):
        pairs = labels.make({"__name__": "m", "pod": f"pod-{number}", "z": str(rng.random())})
        counts[keys.partition_of(pairs, 12)] += 1
    assert min(counts) > 800
    assert max(counts) < 1200


def test_doubling_the_partitions_splits_each_and_moves_nothing_across():
    for bucket in range(keys.BUCKETS):
        assert keys.partition(bucket, 64) // 2 == keys.partition(bucket, 32)


def test_the_record_key_names_partition_and_count():
    assert keys.record_key(7, 32) == b"7/32"
