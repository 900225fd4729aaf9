"""Lines of one path to fragments: the labels of each stream, its text and its partition, worked out once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.producer.appender import Fragment
from pipeline.stages.entry import TENANT
from pipeline.tail.lines import Stream
from topics import keys, labels, push_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tail.lines import Lines

_MS = 1_000_000


class PathStreams:
    """The streams of one path: its labels, and for CRI lines `stream="stdout"` or `"stderr"` beside them.

    Raises InvalidLabels for labels that UTF-8 cannot hold: a file's name may be any bytes.
    """

    def __init__(self, path_labels: Mapping[str, str], partitions: int) -> None:
        self.labels = dict(path_labels)
        self._partitions = partitions
        self._known: dict[bytes, tuple[bytes, int]] = {}
        self._stream(b"")

    def fragment(self, lines: Lines) -> Fragment:
        """One stream with these entries, for the partition that its labels belong to."""
        if lines.stream is None:
            text, partition = self._stream(lines.tag)
            payload, tenant = push_request.stream(text, lines.entries), ""
        else:
            payload, partition, tenant = lines.entries, lines.stream.partition, lines.stream.tenant
        min_ts_ms, max_ts_ms = lines.min_ts_ns // _MS, lines.max_ts_ns // _MS
        return Fragment(partition, payload, 1, lines.count, min_ts_ms, max_ts_ms, tenant=tenant)

    def stream(self, mapping: Mapping[str, str]) -> Stream:
        """A stream with labels of its own; its tenant is that of the reserved label. Raises InvalidLabels."""
        full = dict(mapping)
        tenant = full.pop(TENANT, "")
        pairs = labels.make(full)
        return Stream(labels.text(pairs).encode(), keys.partition_of(pairs, self._partitions), tenant)

    def _stream(self, tag: bytes) -> tuple[bytes, int]:
        known = self._known.get(tag)
        if known is None:
            full = self.labels | {"stream": tag.decode()} if tag else self.labels
            pairs = labels.make(full)
            known = self._known[tag] = (labels.text(pairs).encode(), keys.partition_of(pairs, self._partitions))
        return known
