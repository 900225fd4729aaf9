"""What Prometheus's own parsers say of documents (`tests/peers/prometheus/parse`), and what ours say, in one form."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.scrape.negotiation import ParserOptions
from pipeline.textparse.histograms import MOST_SCHEMA, fault, limited
from pipeline.textparse.parsed import Parser, Sample
from tests.peers import catalogue
from topics.errors import ParseError, ScrapeFailed
from topics.histogram import NativeHistogram

PROGRAM = catalogue.HERE / "prometheus"
VECTORS = Path(__file__).parents[1] / "data" / "expositions"

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


@dataclass(frozen=True)
class Question:
    """One document and how it is to be read; names as in the Go program."""

    body: bytes
    type: str = OPENMETRICS
    native: bool = False
    classic: bool = False
    nhcb: bool = False
    start: bool = False
    limit: int = 0
    schema: int | None = None

    def wire(self) -> dict[str, Any]:
        """As the Go program reads it; what is not set is left out."""
        options = {name: getattr(self, name) for name in ("native", "classic", "nhcb", "start", "limit")}
        found: dict[str, Any] = {"type": self.type, "body": base64.b64encode(self.body).decode()}
        found |= {name: value for name, value in options.items() if value}
        if self.schema is not None:
            found["schema"] = self.schema
        return found

    def options(self) -> ParserOptions:
        """As our parsers take them."""
        return ParserOptions(
            native_histograms=self.native, classic_too=self.classic, to_custom_buckets=self.nhcb, start_times=self.start
        )

    @classmethod
    def unwire(cls, found: dict[str, Any]) -> Question:
        """The inverse of `wire`."""
        return cls(**{**found, "body": base64.b64decode(found["body"])})


def ask(questions: Iterable[Question]) -> list[dict[str, Any]]:
    """Prometheus's answers. Needs Go."""
    text = "\n".join(json.dumps(question.wire()) for question in questions)
    done = subprocess.run(["go", "run", "./parse"], cwd=PROGRAM, input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def answer(parser: Parser, question: Question | None = None) -> dict[str, Any]:
    """Ours, in the form of Prometheus's; `error` is only true or false. `question`: for its limits of histograms."""
    samples: list[dict[str, Any]] = []
    error = False
    try:
        while (sample := parser.next()) is not None:
            samples.append(shown(sample, question))
    except ParseError:
        error = True
    metadata = {latin(name): [m.type, latin(m.help), latin(m.unit)] for name, m in parser.metadata.items()}
    return {"samples": samples, "metadata": metadata, "error": error}


def simplified(theirs: dict[str, Any]) -> dict[str, Any]:
    """Their answer with `error` as true or false, and no more than can be compared."""
    for sample in theirs["samples"]:
        if "x" in sample:
            sample["x"] = True
        for one in (sample.get("h"), sample.get("r")):
            if one and "invalid" in one:
                one["invalid"] = True
    return {**theirs, "error": bool(theirs["error"])}


def shown(sample: Sample, question: Question | None = None) -> dict[str, Any]:
    """One sample in the form of the Go program."""
    found: dict[str, Any] = {"l": sorted([latin(name), latin(value)] for name, value in sample.labels())}
    if sample.histogram is None:
        found["v"] = bits(sample.value)
    else:
        found["h"] = histogram(sample.histogram)
        if question is not None and (question.limit or question.schema is not None):
            found |= reduced(sample.histogram, question)
    if sample.timestamp_ms is not None:
        found["t"] = sample.timestamp_ms
    if sample.start_ms is not None:
        found["s"] = sample.start_ms
    if sample.exemplars:
        found["e"] = [
            {"l": sorted([latin(name), latin(value)] for name, value in one.labels), "v": bits(one.value)}
            | ({} if one.timestamp_ms is None else {"t": one.timestamp_ms})
            for one in sample.exemplars
        ]
    return found


def reduced(given: NativeHistogram, question: Question) -> dict[str, Any]:
    """What the limits of the question make of a histogram."""
    schema = MOST_SCHEMA if question.schema is None else question.schema
    try:
        return {"r": histogram(limited(given, bucket_limit=question.limit, max_schema=schema))}
    except ScrapeFailed:
        return {"x": True}


def histogram(given: NativeHistogram) -> dict[str, Any]:
    """A histogram in the form of the Go program."""
    number = bits if given.is_float else str
    return {
        "float": given.is_float,
        "hint": given.reset_hint,
        "schema": given.schema,
        "threshold": bits(given.zero_threshold),
        "zero": number(given.zero_count),
        "count": number(given.count),
        "sum": bits(given.sum),
        "pos": [list(span) for span in given.positive_spans] or None,
        "neg": [list(span) for span in given.negative_spans] or None,
        "posb": [number(bucket) for bucket in given.positive_buckets] or None,
        "negb": [number(bucket) for bucket in given.negative_buckets] or None,
        "custom": [bits(bound) for bound in given.custom_values] or None,
    } | ({"invalid": True} if fault(given) else {})


def latin(text: str) -> str:
    """Bytes as Latin-1."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def bits(value: float) -> str:
    """A float's bits in hexadecimal."""
    return struct.pack(">d", value).hex()
