"""The published key vectors: a promise to readers in other languages. A change here breaks order for everybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xxhash

from topics import keys, labels

PUBLISHED = json.loads((Path(keys.__file__).parent / "key_vectors.json").read_text(encoding="utf-8"))
VECTORS = PUBLISHED["vectors"]
NAMES = [vector["name"] for vector in VECTORS]


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_our_code_gives_the_published_key(vector):
    pairs = labels.make(vector["labels"])
    canonical = keys.canonical(pairs)
    assert canonical.hex() == vector["canonical_hex"]
    assert keys.bucket(canonical) == vector["bucket"]
    for partitions, partition in vector["partition"].items():
        assert keys.partition_of(pairs, int(partitions)) == partition


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_the_published_key_follows_from_the_written_rule_alone(vector):
    """The rule of topics/README.md, written out once more without our code."""
    kept = sorted((name.encode(), value.encode()) for name, value in vector["labels"].items() if value)
    canonical = b"".join(name + b"\xff" + value + b"\xff" for name, value in kept)
    assert canonical.hex() == vector["canonical_hex"]
    digest = int(vector["xxh3_64"], 16)
    assert xxhash.xxh3_64(canonical, seed=0).hexdigest() == vector["xxh3_64"]
    assert digest % PUBLISHED["buckets"] == vector["bucket"]
    for partitions, partition in vector["partition"].items():
        assert vector["bucket"] * int(partitions) // 1024 == partition


@pytest.mark.parametrize(
    "vector", [vector for vector in VECTORS if "text" in vector], ids=lambda vector: vector["name"]
)
def test_a_stream_has_the_same_key_when_read_from_its_text(vector):
    assert keys.canonical(labels.parse_text(vector["text"])).hex() == vector["canonical_hex"]


def test_the_hash_is_xxh3_with_seed_0():
    """The value that the authors of XXH3 publish for empty input; a vector of ours has the same."""
    assert xxhash.xxh3_64_hexdigest(b"") == "2d06800538d394c2"
    assert VECTORS[0]["xxh3_64"] == "2d06800538d394c2"


def test_the_vectors_cover_what_they_promise():
    assert len({vector["bucket"] for vector in VECTORS}) > len(VECTORS) * 0.9
    assert {len(bytes.fromhex(vector["canonical_hex"])) for vector in VECTORS} >= {0, 240, 241}
    assert all(set(vector["partition"]) >= {"1", "3", "12", "32", "1024"} for vector in VECTORS)
