"""OpenMetrics, protobuf and custom buckets as Prometheus 3.15's own parsers read them: documents and their answers.

`make_expositions.py` makes them. An answer has each sample with its labels, bits, timestamps, exemplars and histogram,
also as the limits of the question make it; what is known of families; and whether the document was refused.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.scrape.negotiation import identify, parser_for
from tests.support.expositions import VECTORS, Question, answer

# How many vectors there are at least of those that matter: refused, with histograms, exemplars, start times.
KINDS = {
    "openmetrics": {"refused": 500, "e": 100, "s": 50},
    "custom_buckets": {"refused": 100, "h": 300, "e": 100},
    "protobuf": {"refused": 200, "h": 150, "e": 100, "s": 50, "r": 80, "x": 5},
}


def load(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("name", KINDS)
def test_there_are_vectors_of_every_kind(name: str) -> None:
    answers = [vector["answer"] for vector in load(name)]
    counts = {key: sum(any(key in sample for sample in one["samples"]) for one in answers) for key in "hesrx"}
    counts["refused"] = sum(one["error"] for one in answers)
    assert {key: least for key, least in KINDS[name].items() if counts[key] < least} == {}, counts
    assert sum(not one["error"] for one in answers) > 150


@pytest.mark.parametrize("name", KINDS)
def test_every_document_reads_as_prometheus_reads_it(name: str) -> None:
    wrong = []
    for vector in load(name):
        question = Question.unwire(vector["question"])
        fetched = identify(question.body, question.type, None)
        found = answer(parser_for(fetched, question.options()), question)
        if found != vector["answer"]:
            wrong.append((question, found, vector["answer"]))
    assert not wrong, f"{len(wrong)} documents, the first: {wrong[0]}"
