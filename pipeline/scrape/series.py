"""From the labels that a target exposes to the series that is sent: target labels, metric relabelling, partition.

Rules: Prometheus's `mutateSampleLabels` and `mutateReportSampleLabels` (scrape/scrape.go), and external labels as its
remote write adds them: where a series does not have them already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.scrape.limits import check
from pipeline.scrape.options import SeriesLimits
from pipeline.scrape.pieces import Piece, Pieces, piece_of
from pipeline.scrape.written import Written
from topics import labels
from topics.errors import InvalidLabels, ScrapeFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.relabel.program import Program
    from pipeline.scrape.sheet import Encoded

_NO_LIMITS = SeriesLimits()


class SeriesMaker:
    """Makes the series of one target. Pure: the same labels always give the same series."""

    def __init__(
        self,
        target_labels: Mapping[str, str],
        *,
        honor_labels: bool,
        metric_relabel: Program,
        external_labels: Mapping[str, str],
        partitions: int,
        limits: SeriesLimits = _NO_LIMITS,
        pieces: Pieces | None = None,
    ) -> None:
        """`pieces`: shared with other targets, to save memory and time."""
        self._target = dict(target_labels)
        self._honor_labels = honor_labels
        self._relabel = metric_relabel
        self._external = tuple(external_labels.items())
        self._limits = limits if limits != _NO_LIMITS else None
        self._pieces = Pieces(partitions) if pieces is None else pieces
        # What every series gets that has none of these names of its own.
        self._added = {**{name: value for name, value in external_labels.items() if value}, **self._target}
        self._added_pairs = tuple(self._added.items())
        self._added_pieces: tuple[Piece, ...] | None = None
        self._is_plain = metric_relabel.empty and self._limits is None and all(self._added.values())

    def make(self, exposed: Sequence[tuple[str, str]]) -> Encoded | None:
        """The series of these exposed labels; None when metric relabelling drops it.

        Raises ScrapeFailed for labels that no series may have.
        """
        found = dict(exposed)
        # As many names as labels, none of them displaced or empty: the ordinary case, in which nothing is left to do.
        if (
            self._is_plain
            and len(found) == len(exposed)
            and labels.METRIC_NAME in found
            and "" not in found.values()
            and found.keys().isdisjoint(self._added)
        ):
            return self._encode(sorted((*exposed, *self._added_pairs)))
        return self._make(exposed, found)

    def written(self) -> Written | None:
        """What makes series of lines as they are written, for one body; None when this job's are more than that."""
        if not self._is_plain:
            return None
        if self._added_pieces is None:
            self._added_pieces = tuple(piece_of(pair) for pair in self._added_pairs)
        return Written(self._pieces, self._added_pieces)

    def _make(self, exposed: Sequence[tuple[str, str]], found: dict[str, str]) -> Encoded | None:
        repeated = len(found) != len(exposed)
        merged = self._honored(found) if self._honor_labels else self._attached(found)
        if not self._relabel.empty:
            kept, _ = self._relabel.run(merged)
            if kept is None:
                return None
            merged = kept
        if repeated:
            raise ScrapeFailed(f"label name {_repeated(exposed)!r} is not unique in a series")
        if not merged.get(labels.METRIC_NAME):
            if not any(merged.values()):
                return None  # nothing is left of it: the same as dropped
            raise ScrapeFailed("a series has no metric name (__name__ label)")
        if self._limits is not None:
            check(_valid(merged), self._limits)
        return self._complete(merged)

    def report(self, name: str) -> Encoded:
        """A series about the target itself, such as `up`; metric relabelling does not see it."""
        return self._complete({**self._target, labels.METRIC_NAME: name})

    def _honored(self, found: dict[str, str]) -> dict[str, str]:
        """The target's labels only where the series does not have them, not even empty."""
        return {name: value for name, value in {**self._target, **found}.items() if value}

    def _attached(self, found: dict[str, str]) -> dict[str, str]:
        """The target's labels, with `exported_` before the names of those that they displace."""
        merged = {name: value for name, value in found.items() if value}
        displaced = [(name, merged[name]) for name in self._target if name in merged]
        merged.update(self._target)
        for name, value in sorted(displaced, key=lambda pair: len(pair[0].encode())):
            exported = f"exported_{name}"
            while merged.get(exported):
                exported = f"exported_{exported}"
            merged[exported] = value
        return merged

    def _complete(self, merged: dict[str, str]) -> Encoded:
        for name, value in self._external:
            if not merged.get(name):
                merged[name] = value
        return self._encode(_valid(merged))

    def _encode(self, pairs: Sequence[tuple[str, str]]) -> Encoded:
        try:
            return self._pieces.encode(pairs)
        except UnicodeEncodeError:
            _valid(dict(pairs))  # says which label it is
            raise


def _valid(merged: Mapping[str, str]) -> labels.LabelPairs:
    try:
        return labels.make(merged)
    except InvalidLabels as error:
        raise ScrapeFailed(f"invalid label in a series: {error}") from None


def _repeated(exposed: Sequence[tuple[str, str]]) -> str:
    seen: set[str] = set()
    for name, _ in exposed:
        if name in seen:
            return name
        seen.add(name)
    return ""
