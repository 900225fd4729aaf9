"""What is remembered of metric families: all that is still heard of, within bounds."""

from __future__ import annotations

import pytest

from pipeline.clients.families import Families
from tests.support.fakes import FakeClock
from topics import metadata, write_request
from topics.errors import CorruptMessage


def said(*families: tuple[str, str, str]) -> bytes:
    return write_request.join_metadata([metadata.encode(name, kind, text, "") for name, kind, text in families])


def ours(families: Families) -> list[str]:
    return [heard.family for heard in families.ours()]


def test_type_help_and_unit_are_known_from_then_on():
    families = Families(FakeClock())
    families.hear(write_request.join_metadata([metadata.encode("a", "counter", "All.", "bytes")]))
    assert families.about("a") == (1, "All.", "bytes")
    assert families.about("b") is None
    assert ours(families) == ["a"]


def test_what_is_new_counts_and_hearing_the_old_again_does_not_change_that():
    families = Families(FakeClock())
    families.hear(said(("a", "counter", "old")))
    families.hear(said(("a", "counter", "new")))
    version = families.version
    for _ in range(3):
        families.hear(said(("a", "counter", "old")))
        families.hear(said(("a", "counter", "new")))
    assert families.about("a") == (1, "new", "")
    assert families.version == version
    assert ours(families) == ["a", "a"]


def test_what_is_not_heard_of_any_more_is_forgotten():
    clock = FakeClock()
    families = Families(clock)
    families.hear(said(("a", "counter", "old"), ("b", "gauge", "")))
    clock.advance(100)
    families.hear(said(("a", "counter", "new")))
    families.hear(said(("a", "counter", "newest")))
    clock.advance(150)
    families.hear(said(("a", "counter", "new")))
    assert ours(families) == ["a", "a"]
    assert families.about("b") is None
    clock.advance(50)
    assert families.about("a") == (1, "newest", "")
    assert ours(families) == ["a"]
    assert families.about("a") == (1, "new", "")


def test_only_the_reader_of_its_home_speaks_for_a_family():
    names = [f"m{number}" for number in range(60)]
    speakers = {name: [] for name in names}
    for partition in range(12):
        families = Families(FakeClock())
        families.hear(said(*[(name, "gauge", "") for name in names]), place=(partition, 12))
        for name in ours(families):
            speakers[name].append(partition)
        assert all(families.about(name) for name in names)
    assert all(len(found) == 1 for found in speakers.values())
    assert len({found[0] for found in speakers.values()}) > 6


def test_memory_is_bounded_and_the_longest_unheard_goes_first():
    families = Families(FakeClock(), most_bytes=10_000)
    for number in range(100):
        families.hear(said((f"m{number}", "gauge", "x" * 100)))
        families.hear(said(("kept", "gauge", "")))
    assert len(ours(families)) < 20
    assert families.about("kept")
    assert families.about("m0") is None
    assert families.about("m99")
    assert families._bytes <= 10_000


def test_what_a_tenant_says_is_told_to_nobody_else():
    families = Families(FakeClock())
    families.hear(said(("a", "gauge", "secret")), tenant="t1")
    assert families.about("a") is None
    assert [(heard.tenant, heard.family) for heard in families.ours()] == [("t1", "a")]


def test_what_is_no_metadata_is_an_error_of_the_record():
    with pytest.raises(CorruptMessage):
        Families(FakeClock()).hear(b"\x1a\x02\x08")
