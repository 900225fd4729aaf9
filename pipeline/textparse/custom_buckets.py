"""Classic histograms of a text format, turned into native ones with custom buckets while they are read.

This is what Prometheus's `convert_classic_histograms_to_nhcb` does (model/textparse/nhcbparse.go), with what follows
from it: only families whose TYPE says histogram and has their very name are converted, series by series in their order;
series that make no histogram are gone all the same; a histogram has the timestamp of the sample after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.textparse.classic import ClassicHistogram
from pipeline.textparse.floats import parse_go
from pipeline.textparse.histograms import fault
from pipeline.textparse.parsed import BuiltSample, LabelList, Metadata, ParsedExemplar, ParsedSample

if TYPE_CHECKING:
    from pipeline.textparse.openmetrics import OpenMetricsParser
    from pipeline.textparse.parsed import Sample
    from pipeline.textparse.prometheus import PrometheusParser

_SUFFIXES = ("_bucket", "_sum", "_count")


@dataclass(slots=True)
class _Collected:
    """The series of one histogram, as far as they came. `identity`: its name and its labels but for the bound."""

    identity: tuple[str, LabelList]
    start_ms: int | None
    histogram: ClassicHistogram = field(default_factory=ClassicHistogram)
    exemplars: list[ParsedExemplar] = field(default_factory=list)


class CustomBucketsParser:
    """Wraps a text parser. `keep_classic`: give the classic series as well, without their exemplars."""

    def __init__(self, parser: PrometheusParser | OpenMetricsParser, *, keep_classic: bool) -> None:
        self._parser = parser
        self._keep_classic = keep_classic
        self._collected: _Collected | None = None
        self._held: ParsedSample | None = None  # came behind a histogram that was given first
        self._timestamp_ms: int | None = None

    @property
    def metadata(self) -> dict[str, Metadata]:
        """By name of the family, as far as the document was read."""
        return self._parser.metadata

    def next(self) -> Sample | None:
        """The next sample, or None at the end of the document. Raises ParseError."""
        held, self._held = self._held, None
        if held is not None and not self._collect(held):
            return held
        while not self._parser.ended:
            sample = self._parser.step()
            made = None
            if sample is not None:
                self._timestamp_ms = sample.timestamp_ms
                if self._collected and self._identity(sample) != self._collected.identity:
                    made = self._finish()
            elif self._parser.ended or not self._parser.passed_blank:
                made = self._finish()
            if made is not None:
                self._held = sample
                return made
            if sample is not None and not self._collect(sample):
                return sample
        return None

    def _finish(self) -> BuiltSample | None:
        """The histogram of what was collected; None if nothing was, or if it makes none."""
        collected = self._collected
        if collected is None:
            return None
        histogram = collected.histogram.convert()
        if histogram is not None and fault(histogram):
            return None  # as Prometheus: whatever comes next is collected with it
        self._collected = None
        if histogram is None:
            return None
        name, others = collected.identity
        empty = {label for label, value in others if not value}
        labels = sorted([("__name__", name), *(pair for pair in others if pair[0] not in empty)])
        key = "\xff".join(text for pair in labels for text in pair).encode("utf-8", "surrogateescape")
        return BuiltSample(
            key, labels, 0.0, self._timestamp_ms, tuple(collected.exemplars), collected.start_ms, histogram
        )

    def _identity(self, sample: ParsedSample) -> tuple[str, LabelList] | None:
        """Of which histogram this would be a part; None where it cannot be one."""
        if sample.metric_type != b"histogram":
            return None
        (_, name), *labels = sample.labels()
        for suffix in _SUFFIXES:
            if name.endswith(suffix):
                name = name[: -len(suffix)]
                break
        return name, sorted((label, value) for label, value in labels if label != "le")

    def _collect(self, sample: ParsedSample) -> bool:
        """Take the sample as a part of a histogram; True if it is not to be given as a sample of its own."""
        identity = self._identity(sample)
        if identity is None or identity[0] != self._parser.family:
            return False
        (_, name), *labels = sample.labels()
        suffix = name[len(identity[0]) :]
        text = next((value for label, value in labels if label == "le"), None) if suffix == "_bucket" else None
        bound = None if text is None else parse_go(text.encode())
        if suffix not in _SUFFIXES or (suffix == "_bucket" and (bound is None or math.isnan(bound))):
            return False
        if self._collected is None:
            self._collected = _Collected(identity, sample.start_ms)
        self._collected.exemplars += sample.exemplars
        sample.exemplars = ()
        histogram = self._collected.histogram
        if bound is not None:
            histogram.set_bucket(bound, sample.value)
        elif suffix == "_count":
            histogram.set_count(sample.value)
        else:
            histogram.set_sum(sample.value)
        return not self._keep_classic
