"""What the labels of a series may be: a job's limits, and which names are valid. Words: Prometheus's scrape.go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from topics import labels
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.scrape.options import SeriesLimits

_LEGACY_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_SHOWN = 50


class LabelLimitExceeded(ScrapeFailed):
    """A series has more, or longer, labels than its job allows: the whole scrape fails."""


def check(pairs: Sequence[tuple[str, str]], limits: SeriesLimits) -> None:
    """Raise ScrapeFailed unless a series may have these labels, sorted by name and none of them empty."""
    if limits.legacy_names and not _are_legacy(pairs):
        raise ScrapeFailed(f"invalid metric name or label names: {labels.text(tuple(pairs))}")
    if limits.label_limit and len(pairs) > limits.label_limit:
        raise LabelLimitExceeded(
            f"label_limit exceeded (metric: {_metric(pairs)}, number of labels: {len(pairs)},"
            f" limit: {limits.label_limit})"
        )
    if not limits.label_name_length_limit and not limits.label_value_length_limit:
        return
    for name, value in pairs:
        length = len(name.encode())
        if 0 < limits.label_name_length_limit < length:
            raise LabelLimitExceeded(
                f"label_name_length_limit exceeded (metric: {_metric(pairs)}, label name: {name[:_SHOWN]},"
                f" length: {length}, limit: {limits.label_name_length_limit})"
            )
        length = len(value.encode())
        if 0 < limits.label_value_length_limit < length:
            raise LabelLimitExceeded(
                f"label_value_length_limit exceeded (metric: {_metric(pairs)}, label name: {name[:_SHOWN]},"
                f" value: {labels.quote(value[:_SHOWN])}, length: {length}, limit: {limits.label_value_length_limit})"
            )


def _are_legacy(pairs: Sequence[tuple[str, str]]) -> bool:
    return all(
        _LEGACY_LABEL.fullmatch(name) and (name != labels.METRIC_NAME or _LEGACY_METRIC.fullmatch(value))
        for name, value in pairs
    )


def _metric(pairs: Sequence[tuple[str, str]]) -> str:
    return dict(pairs).get(labels.METRIC_NAME, "")[:_SHOWN]
