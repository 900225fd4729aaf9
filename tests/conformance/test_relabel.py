"""Relabelling as Prometheus does it: random rules with the answers of its own package (model/relabel, v0.315.0).

Each entry: `labels`, `rules` as in YAML, and `result` (null: dropped) or `refused` with the words of Prometheus.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule

VECTORS = json.loads((Path(__file__).parents[1] / "data/relabel/vectors.json").read_text(encoding="utf-8"))
REFUSED = [vector for vector in VECTORS if "refused" in vector]
ANSWERED = [vector for vector in VECTORS if "refused" not in vector]


def program(vector) -> Program:
    return Program([RelabelRule.build(**rule) for rule in vector["rules"]])


def test_there_are_vectors_of_every_kind():
    actions = {rule.get("action", "replace").lower() for vector in ANSWERED for rule in vector["rules"]}
    assert len(actions) == 11
    assert len(REFUSED) > 50
    assert sum(vector["result"] is None for vector in ANSWERED) > 50
    assert sum(vector["result"] not in (None, vector["labels"]) for vector in ANSWERED) > 300


@pytest.mark.parametrize("vector", ANSWERED, ids=range(len(ANSWERED)))
def test_labels_come_out_as_with_prometheus(vector):
    result, _ = program(vector).run(vector["labels"])
    expected = vector["result"]
    if expected is not None:
        expected = {name: value for name, value in expected.items() if name}  # a label without a name cannot travel
    assert result == expected


@pytest.mark.parametrize("vector", REFUSED, ids=range(len(REFUSED)))
def test_what_prometheus_refuses_is_refused(vector):
    with pytest.raises(ValueError, match=r"."):
        program(vector)
