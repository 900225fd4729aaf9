"""Labels of a target and of a series, where they meet. Cases after Prometheus's scrape tests, in words of our own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.scraping import PARTITIONS, maker
from topics.errors import ScrapeFailed
from topics.keys import partition_of
from topics.labels import make
from topics.write_request import decode_labels

TARGET = {"instance": "i:1", "job": "j", "zone": "a"}


def made(exposed: dict[str, str], target: dict[str, str] = TARGET, **options: Any) -> dict[str, str] | None:
    encoded = maker(target, **options).make(list(exposed.items()))
    if encoded is None:
        return None
    pairs = decode_labels(encoded[1])
    assert encoded[0] == partition_of(pairs, PARTITIONS)
    return dict(pairs)


def test_the_target_labels_are_attached() -> None:
    assert made({"__name__": "m", "x": "1"}) == {"__name__": "m", "x": "1", **TARGET}


def test_what_they_displace_is_exported() -> None:
    assert made({"__name__": "m", "zone": "b"}) == {"__name__": "m", "exported_zone": "b", **TARGET}


def test_what_is_exported_already_is_exported_twice() -> None:
    assert made({"__name__": "m", "zone": "b", "exported_zone": "c"}) == {
        "__name__": "m",
        "exported_zone": "c",
        "exported_exported_zone": "b",
        **TARGET,
    }


def test_honored_labels_win_over_those_of_the_target() -> None:
    assert made({"__name__": "m", "zone": "b"}, honor_labels=True) == {"__name__": "m", **TARGET, "zone": "b"}


def test_an_empty_honored_label_keeps_the_targets_away() -> None:
    assert made({"__name__": "m", "zone": ""}, honor_labels=True) == {"__name__": "m", "instance": "i:1", "job": "j"}


def test_an_empty_label_is_no_label() -> None:
    assert made({"__name__": "m", "zone": "", "x": ""}) == {"__name__": "m", **TARGET}


def test_metric_relabelling_sees_the_target_labels_and_may_drop() -> None:
    drop = [{"source_labels": ("zone", "x"), "regex": "a;1", "action": "drop"}]
    assert made({"__name__": "m", "x": "1"}, rules=drop) is None
    assert made({"__name__": "m", "x": "2"}, rules=drop) is not None


def test_external_labels_are_added_last_and_displace_nothing() -> None:
    rules = [{"source_labels": ("cluster",), "regex": ".+", "action": "drop"}]
    external = {"cluster": "c1", "zone": "z"}
    assert made({"__name__": "m"}, rules=rules, external=external) == {"__name__": "m", "cluster": "c1", **TARGET}


def test_report_series_bear_target_and_external_labels_only() -> None:
    rules = [{"regex": "zone", "action": "labeldrop"}]
    series = maker(TARGET, rules=rules, external={"cluster": "c1"}).report("up")
    assert decode_labels(series[1]) == make({"__name__": "up", "cluster": "c1", **TARGET})


def test_a_series_without_a_name_fails_the_scrape() -> None:
    with pytest.raises(ScrapeFailed, match="no metric name"):
        made({"__name__": "m"}, rules=[{"target_label": "__name__", "replacement": ""}])


def test_a_series_without_any_label_is_dropped() -> None:
    assert made({"__name__": "m"}, target={}, rules=[{"regex": ".*", "action": "labeldrop"}]) is None


def test_names_that_are_not_utf8_fail_the_scrape() -> None:
    with pytest.raises(ScrapeFailed, match="invalid label"):
        made({"__name__": b"\xff".decode("utf-8", "surrogateescape")})


def test_a_repeated_label_fails_unless_the_series_is_dropped() -> None:
    repeated = [("__name__", "m"), ("x", "1"), ("x", "1")]
    with pytest.raises(ScrapeFailed, match="'x' is not unique"):
        maker().make(repeated)
    assert maker(rules=[{"source_labels": ("x",), "regex": "1", "action": "drop"}]).make(repeated) is None
