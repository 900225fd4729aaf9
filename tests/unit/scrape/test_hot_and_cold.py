"""Random scrapes of one target: what the template gives is what reading each body anew gives."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.scraped import MAX_AHEAD_MS
from pipeline.scrape.series import SeriesMaker
from pipeline.scrape.sheet import Sheet
from pipeline.textparse.prometheus import PrometheusParser
from tests.support.scraping import STALE, Sample, bits, maker, samples_of, take
from topics.errors import ParseError, ScrapeFailed
from topics.write_request import decode_labels

START = 1_700_000_000_000
RULES: list[dict[str, Any]] = [
    {"source_labels": ("__name__",), "regex": "drop_.*", "action": "drop"},
    {"regex": "shed", "action": "labeldrop"},
]
NAMES = ["a", "bb", "ccc_total", "drop_me", "h_bucket", "é"]
LABELS = ["x", "y", "le", "shed", "instance"]
TEXTS = ["1", "2", "p q", "z\\n", "r\nq", ""]
VALUES = [
    "0", "1", "2", "17", "1.5", "-3", "1e3", "NaN", "+Inf", "-0", "+7", ".5", "5.", "007", "1 ", " 1", "1\t",
    "9007199254740993",
    "1_0", "0x1", "1e999", "-nan", "", "1 2", "null", "1 1700000000000", "2 1700000000500", "3 9999999999999", "1 -5",
]  # fmt: skip
PIECES = [
    "# c", "# TYPE h_bucket histogram", "# TYPE h_bucket gauge", "# HELP a b", "", "  ", "#", "# TYPE a", '"', "}",
    "a{", "\x00", "#\x00", "5", 'q"} 1',
]  # fmt: skip


class Reference:
    """What a target's scrapes mean, said as plainly as possible."""

    def __init__(self, series: SeriesMaker) -> None:
        self._series = series
        self._live: set[bytes] = set()
        self._stamps: dict[bytes, int] = {}

    def take(self, body: bytes, ts_ms: int) -> tuple[list[Sample], str]:
        try:
            plain, stamped = self._read(body)
        except ParseError as error:
            gone, self._live = self._live, set()
            return [(decode_labels(labels), STALE, ts_ms) for labels in gone], str(error)
        samples = [(decode_labels(labels), bits(value), ts_ms) for labels, value in plain.items()]
        seen = set(plain) | {labels for labels, _, _ in stamped}
        samples += [(decode_labels(labels), STALE, ts_ms) for labels in self._live - seen]
        for labels, value, stamp in stamped:
            if self._stamps.get(labels, -1) < stamp <= ts_ms + MAX_AHEAD_MS:
                self._stamps[labels] = stamp
                samples.append((decode_labels(labels), bits(value), stamp))
        if body:
            kept = {labels for labels, _, _ in stamped}
            self._stamps = {labels: stamp for labels, stamp in self._stamps.items() if labels in kept}
        self._live = set(plain)
        return samples, ""

    def _read(self, body: bytes) -> tuple[dict[bytes, float], list[tuple[bytes, float, int]]]:
        parser = PrometheusParser(body)
        plain: dict[bytes, float] = {}
        stamped: list[tuple[bytes, float, int]] = []
        while (sample := parser.next()) is not None:
            try:
                encoded = self._series.make(sample.labels())
            except ScrapeFailed as error:
                raise ParseError(parser.line(sample.start), str(error)) from None
            if encoded is None or encoded[1] in plain:
                continue
            if sample.timestamp_ms is not None:
                stamped.append((encoded[1], sample.value, sample.timestamp_ms))
            elif not any(encoded[1] == labels for labels, _, _ in stamped):
                plain[encoded[1]] = sample.value
        return plain, stamped


def random_line(r: random.Random) -> str:
    if r.random() < 0.15:
        return r.choice(PIECES)
    labels = [f'{r.choice(LABELS)}="{r.choice(TEXTS)}"']
    labels += [f'z="{r.randrange(3)}"'] * (r.random() < 0.3)
    braces = "{" + ",".join(labels * (r.random() < 0.8)) + "}" if r.random() < 0.8 else ""
    name = r.choice(NAMES[:5] if r.random() < 0.97 else NAMES)
    return f"{name}{braces} {r.choice(VALUES[:18] if r.random() < 0.95 else VALUES)}"


def next_body(r: random.Random, lines: list[str]) -> list[str]:
    """Mostly new values on old lines; now and then lines that come, go, move, or break."""
    lines = [new_value(r, line) if r.random() < 0.7 else line for line in lines]
    for _ in range(r.choice([0, 0, 0, 1, 1, 2])):
        at = r.randrange(len(lines) + 1)
        change = r.random()
        if change < 0.4 and len(lines) < 12:
            lines.insert(at, random_line(r))
        elif change < 0.75 and lines:
            del lines[min(at, len(lines) - 1)]
        elif lines:
            r.shuffle(lines)
    return lines


def new_value(r: random.Random, line: str) -> str:
    head, space, _ = line.rpartition(" ")
    return (
        f"{head}{space}{r.choice(VALUES[:4] if r.random() < 0.97 else VALUES)}" if space and "#" not in line else line
    )


@pytest.mark.parametrize("seed", range(60))
def test_hot_and_cold_give_the_same_samples(seed: int) -> None:
    r = random.Random(seed)
    series = maker(rules=RULES if seed % 2 else ())
    cache, reference = SeriesCache(series), Reference(series)
    lines = [random_line(r) for _ in range(r.randrange(1, 8))]
    matched = 0
    for n in range(80):
        body = ("\n".join(lines) + r.choice(["\n", "\n", "\n", ""])).encode()
        scraped, samples = take(cache, body, START + n)
        expected, error = reference.take(body, START + n)
        assert str(scraped.error or "") == error, body
        assert sorted(samples) == sorted(expected), body
        matched += scraped.how == "matched" and not error
        if seed % 3 == 0 and cache._template and isinstance(cache._template.sheet, Sheet) and r.random() < 0.3:
            list(cache.press())
        lines = next_body(r, lines)
        if error and r.random() < 0.7:
            lines = [random_line(r) for _ in range(r.randrange(1, 8))]
    assert matched, "the hot path was never taken: this seed tests nothing"


def test_the_fragments_of_a_scrape_are_views_that_the_next_one_changes() -> None:
    cache = SeriesCache(maker())
    scraped, before = take(cache, b"a 1\n", START)
    take(cache, b"a 2\n", START + 1)
    assert samples_of(scraped.fragments[:0]) == []
    assert before[0][1] == bits(1.0)
