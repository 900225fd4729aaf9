from __future__ import annotations

from typing import Any

import pytest

from pipeline.config.scrape import ScrapeConfig
from pipeline.discovery.target_group import TargetGroup
from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule
from pipeline.scrape.target import CLASSIC, CUSTOM_BUCKETS, NATIVE, BadTarget, Target, offset_seed, targets_of


def found(
    own: dict[str, str], group: dict[str, str] | None = None, rules: list[dict[str, Any]] | None = None, **config: Any
) -> Target | BadTarget | None:
    job = ScrapeConfig.model_validate({"job_name": "j", **config})
    relabel = Program([RelabelRule.build(**rule) for rule in rules or []])
    [(_, target)] = targets_of(job, relabel, TargetGroup("0", (own,), group or {}))
    return target


def target_of(own: dict[str, str], group: dict[str, str] | None = None, **options: Any) -> Target:
    target = found(own, group, **options)
    assert isinstance(target, Target)
    return target


def test_a_target_has_an_address_a_job_and_an_instance() -> None:
    target = target_of({"__address__": "h:1"}, {"env": "p"})
    assert target.public == {"env": "p", "instance": "h:1", "job": "j"}
    assert target.url == "http://h:1/metrics"


def test_how_histograms_are_scraped_stands_in_labels_and_can_be_changed_for_a_target() -> None:
    target = target_of({"__address__": "h:1", NATIVE: "T", CLASSIC: "0"}, convert_classic_histograms_to_nhcb=True)
    assert [target.flag(name, otherwise=False) for name in (NATIVE, CLASSIC, CUSTOM_BUCKETS)] == [True, False, True]
    assert target.public == {"instance": "h:1", "job": "j"}
    assert Target((), (), {}).flag(NATIVE, otherwise=True) is True


def test_a_targets_key_is_that_of_its_series() -> None:
    one, other = target_of({"__address__": "h:1", "instance": "x"}), target_of({"__address__": "h:2", "instance": "x"})
    assert one.key == other.key
    assert one != other
    assert one.key != target_of({"__address__": "h:1"}).key


def test_its_own_labels_win_over_the_groups_and_both_over_the_jobs() -> None:
    target = target_of({"__address__": "h:1", "a": "own"}, {"a": "group", "job": "other", "__scheme__": "https"})
    assert target.public == {"a": "own", "instance": "h:1", "job": "other"}
    assert target.url == "https://h:1/metrics"


def test_an_instance_that_is_set_stays() -> None:
    assert target_of({"__address__": "h:1", "instance": "me"}).public["instance"] == "me"


def test_meta_labels_end_with_relabelling() -> None:
    rules = [{"source_labels": ("__meta_pod",), "target_label": "pod"}]
    assert target_of({"__address__": "h:1", "__meta_pod": "p1"}, rules=rules).public["pod"] == "p1"


def test_parameters_become_the_query() -> None:
    rules = [{"target_label": "__param_module", "replacement": "http 2xx"}]
    target = target_of({"__address__": "h:1"}, params={"module": ("a", "b"), "x": ("&",)}, rules=rules)
    assert target.url == "http://h:1/metrics?module=http+2xx&module=b&x=%26"


def test_the_path_is_escaped_as_go_escapes_it() -> None:
    assert target_of({"__address__": "h:1", "__metrics_path__": "a b?c%"}).url == "http://h:1/a%20b%3Fc%25"


def test_relabelling_may_drop_a_target() -> None:
    assert found({"__address__": "h:1"}, rules=[{"source_labels": ("job",), "regex": "j", "action": "drop"}]) is None


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"__address__": ""}, "no address"),
        ({"__address__": "http://h:1"}, "not a valid hostname"),
        ({"__address__": "h:1", "__scrape_interval__": "soon"}, "error parsing scrape interval"),
        ({"__address__": "h:1", "__scrape_interval__": "0s"}, "scrape interval cannot be 0"),
        ({"__address__": "h:1", "__scrape_timeout__": "2m"}, "cannot be greater than scrape interval"),
        ({"__address__": "h:1", "x": "\ud800"}, "UTF-8"),
        (
            {"__address__": "h:1", "__scrape_native_histograms__": "yes"},
            'error parsing scrape native histograms: strconv.ParseBool: parsing "yes": invalid syntax',
        ),
    ],
)
def test_a_target_that_cannot_be_scraped_says_why(own: dict[str, str], words: str) -> None:
    target = found(own)
    assert isinstance(target, BadTarget)
    assert words in str(target)


def test_interval_and_timeout_may_come_from_labels() -> None:
    target = target_of({"__address__": "h:1", "__scrape_interval__": "5s", "__scrape_timeout__": "500ms"})
    assert (target.interval_s, target.timeout_s) == (5.0, 0.5)


def test_turns_stand_still_in_the_interval_and_differ_between_targets() -> None:
    target, other = target_of({"__address__": "h:1"}), target_of({"__address__": "h:2"})
    turn = (1_700_000_000.0 + target.offset_s(1_700_000_000.0, 7)) % 60
    for now_s in (1_700_000_001.0, 1_700_000_030.5, 1_700_000_059.9):
        wait_s = target.offset_s(now_s, 7)
        assert 0 <= wait_s <= 60
        assert (now_s + wait_s) % 60 == pytest.approx(turn, abs=1e-6)
    assert (1_700_000_000.0 + other.offset_s(1_700_000_000.0, 7)) % 60 != pytest.approx(turn, abs=0.001)


def test_two_scrapers_have_different_turns() -> None:
    assert offset_seed("host-a", {}) != offset_seed("host-b", {})
    assert offset_seed("host-a", {"replica": "a"}) != offset_seed("host-a", {"replica": "b"})


def test_targets_are_equal_when_they_are_scraped_alike() -> None:
    assert target_of({"__address__": "h:1"}) == target_of({"__address__": "h:1", "__meta_x": "1"})
    assert target_of({"__address__": "h:1"}) != target_of({"__address__": "h:1"}, params={"a": ("1", "2")})
    assert len({target_of({"__address__": "h:1"}), target_of({"__address__": "h:1"})}) == 1
