"""Series and log streams to buckets to partitions: one rule, used by everything that writes or reads a topic.

`bucket = xxh3_64(canonical label bytes) % 1024`, `partition = bucket * partitions // 1024`. README.md beside this file
states it for readers in other languages; `key_vectors.json` holds the published vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

if TYPE_CHECKING:
    from topics.labels import LabelPairs

BUCKETS = 1024


def canonical(pairs: LabelPairs) -> bytes:
    """`name 0xFF value 0xFF …` in UTF-8 (which never holds 0xFF), in the order of the pairs; empty for no labels."""
    if not pairs:
        return b""
    parts = [text.encode() for pair in pairs for text in pair]
    parts.append(b"")
    return b"\xff".join(parts)


def bucket(canonical_bytes: bytes) -> int:
    """0 … 1023: the bucket of a label set's canonical bytes. Fixed for ever, whatever the partition count."""
    return xxh3_64_intdigest(canonical_bytes) % BUCKETS


def partition(bucket: int, partitions: int) -> int:
    """The partition of a bucket: each partition holds one contiguous range of buckets.

    Raises ValueError unless 1 <= partitions <= 1024.
    """
    if not 1 <= partitions <= BUCKETS:
        raise ValueError(f"{partitions} partitions: the key rule knows 1 to {BUCKETS}")
    return bucket * partitions // BUCKETS


def partition_of(pairs: LabelPairs, partitions: int) -> int:
    """The partition of a label set."""
    return partition(bucket(canonical(pairs)), partitions)


def record_key(partition: int, partitions: int) -> bytes:
    """The Kafka key of a record, `b"7/32"`: its partition, and under which partition count its series were keyed."""
    return b"%d/%d" % (partition, partitions)
