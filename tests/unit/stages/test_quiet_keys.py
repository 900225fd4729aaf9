"""Keys that change nothing of what comes out, or only when there is very much of something."""

from __future__ import annotations

from pipeline.stages import filters
from tests.unit.stages.test_stages import Run


def test_the_name_of_a_match_changes_nothing():
    stages = "- match: {selector: '{app=\"shop\"}', stages: [{static_labels: {a: b}}]%s}"
    found = [Run(stages % more).push("x")[0].labels.mapping["a"] for more in ("", ", pipeline_name: named")]
    assert found == ["b", "b"]


def test_limits_by_label_forget_labels_beyond_their_number(monkeypatch):
    monkeypatch.setattr(filters, "_LEAST_DISTINCT", 1)
    stage = "- limit: {rate: 0.001, burst: 1, drop: true, by_label_name: user, max_distinct_labels: %d}"
    for most, passed in ((2, 6), (3, 3)):
        run = Run(stage % most)
        for _ in range(2):
            for user in ("a", "b", "c"):
                run.push("x", labels={"user": user})
        assert len(run.out) == passed
