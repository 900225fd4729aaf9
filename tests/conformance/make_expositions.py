"""Writes the vectors of OpenMetrics, protobuf and custom buckets: documents and what Prometheus's own parsers say.

``python -m tests.conformance.make_expositions`` (needs Go). Documents on which ours differ in a way that we want are
left out, and have tests of their own beside the parsers; the program ends with an error for any other difference.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.scrape.negotiation import identify, parser_for
from tests.conformance import corpus
from tests.support.expositions import OPENMETRICS, PROTOBUF, TEXT, VECTORS, Question, answer, ask, simplified

DOCUMENTS = 900


def openmetrics() -> Iterator[Question]:
    for body in corpus.openmetrics_corpus(315, DOCUMENTS):
        yield Question(body)
    r = random.Random(316)
    for _ in range(DOCUMENTS // 9):
        # Not mutated: in this mode Prometheus never comes back from some malformed exemplars.
        yield Question(corpus.classic_histograms(r, openmetrics=True), start=True)


def custom_buckets() -> Iterator[Question]:
    r = random.Random(317)
    for kind in (OPENMETRICS, TEXT):
        made = [corpus.classic_histograms(r, openmetrics=kind == OPENMETRICS) for _ in range(DOCUMENTS // 6)]
        made += [corpus.mutated(r, r.choice(made), made) for _ in range(DOCUMENTS // 6)]
        for body in made:
            yield Question(body, kind, nhcb=True, classic=r.random() < 0.3)


def protobuf() -> Iterator[Question]:
    r = random.Random(318)
    for body in corpus.protobuf_corpus(318, DOCUMENTS):
        yield Question(
            body, PROTOBUF, native=r.random() < 0.7, classic=r.random() < 0.3, nhcb=r.random() < 0.3,
            start=r.random() < 0.3, limit=r.choice([0, 0, 3, 8]), schema=r.choice([None, None, 0, 2]),
        )  # fmt: skip


def wanted_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Which of the differences that we want explains that the answers are not the same; empty: none does."""
    found, expected = _without_exemplars(ours), _without_exemplars(theirs)
    if found == expected:
        return "exemplars of a histogram, which Prometheus mixes up or loses"
    count = len(found["samples"])
    begins = found["error"] and found["samples"] == expected["samples"][:count]
    if begins and "h" in next(iter(expected["samples"][count:]), ()):
        return "spans that do not fit, in a histogram that is not the first of its family"
    return ""


def _without_exemplars(given: dict[str, Any]) -> dict[str, Any]:
    samples = []
    for sample in given["samples"]:
        if "h" not in sample:
            samples.append(sample)
        elif "invalid" in sample["h"]:
            samples.append({"h": "invalid"})
        else:
            samples.append({name: value for name, value in sample.items() if name != "e"})
    return {**given, "samples": samples}


def vectors(questions: Iterable[Question]) -> Iterator[dict[str, Any]]:
    """Each question with its answer, if ours is the same."""
    asked = [question for question in questions if question.body]
    counts = Counter[str]()
    for question, theirs in zip(asked, ask(asked), strict=True):
        expected = simplified(theirs)
        if theirs.get("panic"):
            counts["Prometheus panics"] += 1
            continue
        found = answer(parser_for(identify(question.body, question.type, None), question.options()), question)
        if found == expected:
            counts["the same"] += 1
            yield {"question": question.wire(), "answer": expected}
            continue
        why = wanted_difference(found, expected)
        if not why:
            sys.exit(f"{question}\nours:   {found}\ntheirs: {theirs}")
        counts[why] += 1
    print(dict(counts))


def main() -> None:
    for make in (openmetrics, custom_buckets, protobuf):
        lines = [json.dumps(vector, separators=(",", ":"), sort_keys=True) for vector in vectors(make())]
        path = VECTORS / f"{make.__name__}.json"
        path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
        print(path.name, len(lines), path.stat().st_size)


if __name__ == "__main__":
    main()
