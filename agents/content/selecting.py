"""What an operator means by a selector: series of metrics, or lines of streams.

`up{job="a"}` and `{job="a",zone!~"x.*"}` for metrics, as in PromQL; `{app="a"} |= "GET"` for logs, as in LogQL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.expressions import logql
from topics import labels, push_request, write_request
from topics.errors import CorruptMessage, HeadraceError, InvalidLabels
from topics.record import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{.*)?", re.DOTALL)


class BadSelector(HeadraceError):
    """A selector that cannot be read; the text says where."""


class Selector:
    """A parsed selector."""

    def __init__(self, text: str) -> None:
        """Raises BadSelector."""
        self.text = text
        name, rest = "", text
        found = _NAME.fullmatch(text)
        if found:
            name, rest = found[1], found[2] or "{}"
        try:
            # The empty selector is no LogQL, but `up` is a selector of metrics.
            self._parsed = None if rest.replace(" ", "") == "{}" and name else logql.parse(rest)
        except ValueError as error:
            raise BadSelector(f"selector {text!r}: {error}") from None
        self._name = name

    def matches(self, found: Mapping[str, str]) -> bool:
        """Whether the labels of a series or stream match."""
        if self._name and found.get(labels.METRIC_NAME) != self._name:
            return False
        return self._parsed is None or self._parsed.labels(found)

    def takes_line(self, line: bytes) -> bool:
        """Whether the line filters, if there are any, let a line through."""
        return self._parsed is None or self._parsed.line is None or self._parsed.line(line)

    def finds(self, kind: Kind, body: bytes) -> bool:
        """Whether anything in a decoded body matches; a body that cannot be read matches nothing."""
        try:
            if kind is Kind.METRICS:
                return any(self.matches(dict(write_request.decode_labels(raw))) for raw in write_request.split(body))
            return any(self._finds_line(raw) for raw in push_request.split(body))
        except (CorruptMessage, InvalidLabels, UnicodeDecodeError):
            return False

    def _finds_line(self, raw: bytes) -> bool:
        if not self.matches(dict(labels.parse_text(push_request.labels_of(raw).decode()))):
            return False
        entries = (push_request.decode_entry(entry) for entry in push_request.entries_of(raw))
        return any(self.takes_line(entry.line.encode()) for entry in entries)
