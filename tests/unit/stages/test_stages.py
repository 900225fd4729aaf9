"""What the recorded vectors do not cover: metrics, Alloy's stages, counts of dropped lines, shared label sets."""

from __future__ import annotations

import pytest
import yaml

from pipeline.config.stages import NAMES, PipelineStage, named
from pipeline.stages.custom_metrics import CustomMetrics
from pipeline.stages.entry import Entry, text_of
from pipeline.stages.envoy_flags import spelled
from pipeline.stages.labelsets import LabelSets
from pipeline.stages.pipeline import Job, Program, builders
from pipeline.stages.rates import Bucket
from pipeline.tail.lines import Tally
from pipeline.telemetry.metrics import Telemetry

BASE = {"app": "shop", "__hidden__": "x"}


class Clock:
    s = 1_767_323_045.0

    def now(self) -> float:
        return self.s

    def monotonic(self) -> float:
        return self.s


class Run:
    """A program on one path."""

    def __init__(self, stages: str) -> None:
        self.clock = Clock()
        self.telemetry = Telemetry()
        self.dropped: list[str] = []
        chosen = named(tuple(PipelineStage.model_validate(one) for one in yaml.safe_load(stages)))
        self.custom = CustomMetrics(self.telemetry.registry, self.clock)
        self.job = Job("job", self.clock, self.custom, self.dropped.append, values_wanted=True)
        self.out: list[Entry] = []
        self.pipeline = Program(chosen, self.job).pipeline(self.out.append, Tally())

    def push(self, *lines: str, labels=None) -> list[Entry]:
        before = len(self.out)
        for line in lines:
            self.pipeline.way.now_s = self.clock.s
            self.pipeline.push(Entry(self.job.sets.of(labels or BASE), int(self.clock.s * 1e9), line.encode()))
        return self.out[before:]

    def page(self) -> str:
        return self.telemetry.render().decode()


def test_every_stage_of_the_configuration_has_work_behind_it():
    assert builders().keys() == set(NAMES)


METRICS = """
- json: {expressions: {n: , took: , level: }}
- metrics:
    lines: {type: Counter, description: all of them, config: {match_all: true, action: inc}}
    bytes: {type: counter, prefix: my_, config: {match_all: true, count_entry_bytes: true, action: add}}
    warns_total: {type: counter, source: level, config: {value: warn, action: INC}}
    sum: {type: counter, source: n, config: {action: add}}
    level: {type: gauge, source: n, config: {action: set}}
    down: {type: gauge, source: n, config: {action: sub}}
    took: {type: histogram, config: {buckets: [0.1, 1]}}
"""


def test_metrics_count_with_the_labels_of_the_lines():
    run = Run(METRICS)
    lines = (
        '{"n":2,"took":"50ms","level":"warn"}',
        '{"n":"3.5","took":0.5}',
        '{"n":-1,"took":"2m","level":"info"}',
        "x",
    )
    assert len(run.push(*lines)) == 4
    page = run.page()
    size = sum(len(line) for line in lines)
    for sample in (
        'promtail_custom_lines{app="shop"} 4.0',
        f'my_bytes{{app="shop"}} {float(size)}',
        "# HELP promtail_custom_lines all",
        'promtail_custom_warns_total{app="shop"} 1.0',
        'promtail_custom_sum{app="shop"} 5.5',
        'promtail_custom_level{app="shop"} -1.0',
        'promtail_custom_down{app="shop"} -4.5',
        'promtail_custom_took_bucket{app="shop",le="0.1"} 1.0',
        'promtail_custom_took_bucket{app="shop",le="1.0"} 2.0',
        'promtail_custom_took_bucket{app="shop",le="+Inf"} 3.0',
        'promtail_custom_took_sum{app="shop"} 120.55',
        "# TYPE promtail_custom_warns_total counter",
        "# TYPE promtail_custom_took histogram",
    ):
        assert sample in page, sample


def test_a_series_that_nobody_touches_goes_away():
    run = Run("- metrics: {n: {type: gauge, max_idle_duration: 10s, config: {action: inc}, source: app}}")
    run.push("a", labels={"app": "one"})
    run.clock.s += 5
    run.push("a", labels={"app": "two"})
    run.clock.s += 6
    run.page()
    assert 'app="one"' not in run.page()
    assert 'app="two"' in run.page()


def test_metrics_of_a_job_that_is_gone_go_too():
    run = Run("- metrics: {n: {type: counter, config: {action: inc, match_all: true}}}")
    run.push("a")
    run.custom.forget("job")
    assert "promtail_custom_n" not in run.page()


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("- drop: {expression: a}", "drop_stage"),
        ("- drop: {expression: a, drop_counter_reason: noise}", "noise"),
        ("- match: {selector: '{app=\"shop\"}', action: drop}", "match_stage"),
        ("- match: {selector: '{app=\"shop\"}', action: drop, drop_counter_reason: gone}", "gone"),
        ("- sampling: {rate: 0}", "sampling_stage"),
        ("- limit: {rate: 0.001, burst: 1, drop: true}", "ratelimit_drop_stage"),
    ],
)
def test_a_dropped_line_is_counted_with_its_reason(stage, reason):
    run = Run(stage)
    run.push("a", "a")
    assert set(run.dropped) == {reason}
    assert len(run.out) + len(run.dropped) == 2


def test_older_than_looks_at_the_time_of_the_entry():
    run = Run("- json: {expressions: {t: }}\n- timestamp: {source: t, format: Unix}\n- drop: {older_than: 1h}")
    now = int(run.clock.s)
    found = run.push(f'{{"t":{now - 3599}}}', f'{{"t":{now - 3601}}}')
    assert [entry.extracted["t"] for entry in found] == [now - 3599]


def test_pattern_takes_what_stands_between():
    run = Run("- pattern: {pattern: '<ip> - <_> \"<method> <path> <_>\" <status>', labels_from_groups: true}")
    (entry,) = run.push('1.2.3.4 - x "GET /ä HTTP/1.1" 200')
    assert entry.labels.mapping == BASE | {"ip": "1.2.3.4", "method": "GET", "path": "/ä", "status": "200"}
    (entry,) = run.push("1.2.3.4 nothing")
    assert entry.extracted["ip"] == "1.2.3.4 nothing"


def test_truncate_cuts_everything_but_characters():
    run = Run("""
- json: {expressions: {long: }}
- labels: {long: }
- structured_metadata: {meta: long}
- truncate:
    rules:
    - {limit: 8, suffix: "..."}
    - {source_type: label, limit: 4, sources: [app]}
    - {source_type: structured_metadata, limit: 5}
    - {source_type: extracted, limit: 3, sources: [long]}
""")
    (entry,) = run.push('{"long":"ääää"}', labels={"app": "ääää"})
    assert entry.line == b'{"lon...'
    assert entry.labels.mapping["app"] == "ää"
    assert entry.metadata == [("meta", "ää")]
    assert entry.extracted["long"] == "ä"


def test_structured_metadata_is_dropped_also_where_it_is_encoded():
    run = Run("- envoy: {}\n- structured_metadata: {who: app}\n- structured_metadata_drop: [path, who]")
    (entry,) = run.push('{"response_code":200,"path":"/a","method":"GET"}')
    assert entry.metadata == []
    assert b"/a" not in entry.packed
    assert b"GET" in entry.packed


def test_envoy_keeps_only_the_fields_that_are_asked_for():
    run = Run("- envoy: {fields: [method], labels: [app]}")
    (entry,) = run.push('{"response_code":200,"path":"/a","method":"GET","odd":{"a":[1]}}', labels=BASE | {"pod": "p"})
    assert entry.labels.mapping == {"app": "shop"}
    assert b"GET" in entry.packed
    assert b"/a" not in entry.packed
    assert b"pod" in entry.packed


def test_envoy_takes_objects_and_long_values():
    run = Run("- envoy: {}")
    (entry,) = run.push(
        '{"response_code":0,"upstream_cluster":null,"odd":{"a":[1]},"long":"' + "x" * 300 + '","b":true}'
    )
    assert b'{"a":[1]}' in entry.packed
    assert b"x" * 300 in entry.packed
    assert entry.labels.mapping["response_code_class"] == "none"


@pytest.mark.parametrize("line", ['{"response_code":[1]}', '{"response_code":1,"upstream_cluster":{}}'])
def test_what_only_looks_like_an_access_log_stays_as_it_is(line):
    (entry,) = Run("- envoy: {}").push(line)
    assert (entry.labels.mapping, entry.packed) == (BASE, b"")


def test_envoy_forgets_values_that_never_come_again():
    run = Run("- envoy: {}")
    found = run.push(*[f'{{"response_code":200,"request_id":"r{number}"}}' for number in range(10_000)])
    assert all(f"r{number}".encode() in entry.packed for number, entry in enumerate(found))


def test_flags_that_are_not_known_stay():
    assert spelled("UF,URX,ZZ") == "UpstreamConnectionFailure,UpstreamRetryLimitExceeded,ZZ"


def test_label_sets_are_shared_and_bounded():
    sets = LabelSets(most=10)
    root = sets.of({"a": "b"})
    assert root.put("x", "1") is root.put("x", "1")
    assert root.put("x", "1").without("x") is root
    for number in range(1000):
        root.put("x", str(number))
        assert len(sets) <= 11
    assert len(root._steps) <= 11
    assert root.put("x", "5") == LabelSets().of({"a": "b", "x": "5"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (1.5, "1.5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (-2.5e-3, "-0.0025"),
        (True, "true"),
        (None, None),
        (2**60, "1152921504606847000"),
        ("x", "x"),
        (1.25e10, "12500000000"),
    ],
)
def test_numbers_become_texts_as_in_go(value, text):
    assert text_of(value) == text


def test_a_bucket_gives_back_with_time():
    bucket = Bucket(2.0, 1)
    assert [bucket.allow(10.0), bucket.allow(10.0), bucket.allow(10.5), bucket.allow(100.0), bucket.allow(100.0)] == [
        True, False, True, True, False,
    ]  # fmt: skip
    assert bucket.borrow(100.0) == 100.5
