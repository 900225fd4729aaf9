"""The text format as Prometheus 3.15's own parser reads it: `prometheus_text.json` holds documents and its answers.

Each entry: `text` (bytes as Latin-1), `refused`, and the samples up to there as series text, sorted labels, bits of the
value, timestamp.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from pipeline.textparse.prometheus import PrometheusParser
from topics.errors import ParseError

VECTORS = json.loads((Path(__file__).parents[1] / "data/expositions/prometheus_text.json").read_text())


def read(text: bytes) -> tuple[list[list[object]], bool]:
    parser = PrometheusParser(text)
    samples: list[list[object]] = []
    try:
        while (sample := parser.next()) is not None:
            labels = [[_latin(name), _latin(value)] for name, value in sample.labels()]
            series = parser.body[sample.start : sample.series_end].decode("latin-1")
            bits = struct.pack(">d", sample.value).hex()
            samples.append([series, sorted(labels), bits, sample.timestamp_ms])
    except ParseError:
        return samples, True
    return samples, False


def _latin(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def test_there_are_vectors_of_both_kinds() -> None:
    assert sum(vector["refused"] for vector in VECTORS) > 500
    assert sum(not vector["refused"] for vector in VECTORS) > 150


@pytest.mark.parametrize("refused", [False, True], ids=["accepted", "refused"])
def test_every_document_reads_as_prometheus_reads_it(refused: bool) -> None:
    wrong = []
    for vector in VECTORS:
        if vector["refused"] is not refused:
            continue
        expected = [[series, sorted(labels), bits, ts] for series, labels, bits, ts in vector["samples"]]
        if read(vector["text"].encode("latin-1")) != (expected, refused):
            wrong.append(vector["text"])
    assert not wrong, f"{len(wrong)} documents, the first: {wrong[:3]!r}"
