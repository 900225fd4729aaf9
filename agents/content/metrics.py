"""The agent for metrics: bodies are prometheus.WriteRequest, parts are series, items are samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.content.codec import Part
from agents.content.rewrite import MetricsRewriter, count_samples
from topics import wire, write_request
from topics.record import EXEMPLARS, HISTOGRAMS, METADATA, START_TIMESTAMPS, Kind
from topics.write_request import ONE_SAMPLE_BYTES

if TYPE_CHECKING:
    from agents.content.rewrite import Rules

_SERIES, _METADATA = 1, 3
_SAMPLE_HEAD = bytes((0x12, ONE_SAMPLE_BYTES - 2, 0x09))


class MetricsCodec:
    """See `Codec`. Metadata is a part without samples."""

    kind = Kind.METRICS
    first_bytes = frozenset({_SERIES << 3 | wire.LENGTH_DELIMITED, _METADATA << 3 | wire.LENGTH_DELIMITED})

    def __init__(self, unwanted: int = 0) -> None:
        """`unwanted`: what the backend is not to have (`extras` of topics.record), as a sum."""
        self.unwanted = unwanted

    def strip(self, body: bytes, extras: int) -> tuple[bytes, int]:
        """See `Codec`. A native histogram is an item, nothing else is."""
        return write_request.without(
            body,
            exemplars=bool(extras & EXEMPLARS),
            histograms=bool(extras & HISTOGRAMS),
            metadata=bool(extras & METADATA),
            starts=bool(extras & START_TIMESTAMPS),
        )

    def parts(self, body: bytes) -> list[Part]:
        """Each series and each metadata message by itself."""
        parts = []
        before = 0
        for number, _, start, end in wire.walk(body):
            items = count_samples(body[start:end]) if number == _SERIES else 0
            parts.append(Part(body[before:end], items))
            before = end
        return parts

    def cut(self, body: bytes, items: int, most: int) -> list[tuple[bytes, int]] | None:
        """See `Codec`. As many items as series, each of which ends with an ordinary sample: then none has more."""
        series, metadata = write_request.split_all(body)
        if metadata or items != len(series) or not all(map(_ends_with_a_sample, series)):
            return None
        groups = (series[begin : begin + most] for begin in range(0, items, most))
        return [(write_request.join(group), len(group)) for group in groups]

    def rewriter(self, rules: Rules) -> MetricsRewriter:
        """Rules over series."""
        return MetricsRewriter(rules)


def _ends_with_a_sample(raw: bytes) -> bool:
    return raw[-ONE_SAMPLE_BYTES : 3 - ONE_SAMPLE_BYTES] == _SAMPLE_HEAD
