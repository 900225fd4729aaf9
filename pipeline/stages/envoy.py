"""`envoy`: access logs of Envoy and Istio: few labels, the rest structured metadata, one side on request.

The fields go encoded into the entry. They are extracted values too, so that stages after this one may use them. A line
that is no access log (sidecars write others as well) stays as it is.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any

from pipeline.stages.entry import TENANT, Entry
from pipeline.stages.envoy_flags import spelled
from pipeline.stages.envoy_pairs import Pairs
from pipeline.stages.envoy_places import Places
from pipeline.stages.envoy_rows import Rows
from topics.push_request import encode_pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.config.stages.envoy import EnvoyStage as Settings
    from pipeline.stages.envoy_places import Place
    from pipeline.stages.labelsets import LabelSet
    from pipeline.stages.pipeline import Job

Fate = tuple["LabelSet | None", bytes]
"""A line's labels, None if it was dropped; and its structured metadata, encoded."""

_DROPPED = "envoy_other_side"
_CLUSTER, _ROUTE, _CODE = "upstream_cluster", "route_name", "response_code"
_FLAGS = "response_flags"
_FLAGS_LONG = "response_flags_long"


class EnvoyStage:
    """The stage of a job; a function over entries."""

    def __init__(self, settings: Settings, job: Job) -> None:
        self._rows = Rows(settings.format)
        self._pairs = Pairs(settings.fields)
        other = {"inbound": "outbound", "outbound": "inbound"}.get(settings.keep)
        self._places = Places(frozenset((*settings.labels, TENANT)), other)
        self._spell = settings.spell_flags
        self._dropped, self._values_wanted = job.dropped, job.values_wanted

    def __call__(self, entry: Entry) -> bool:
        """Whether the entry goes on."""
        fields = self._rows.fields(entry.line)
        if fields is None:
            return True
        get = fields.get
        place = self._places.of(entry.labels)
        try:
            labels = place[get(_CLUSTER), get(_ROUTE), get(_CODE)]
        except TypeError:  # an object or a list where a name or a number ought to be
            return True
        if labels is None:
            self._dropped(_DROPPED)
            return False
        entry.labels = labels
        entry.packed += place.moved + self._pairs.packed(fields)
        if self._values_wanted:
            entry.extracted.update(fields)
        if self._spell:
            long = _long(get(_FLAGS))
            if long:
                entry.metadata.append((_FLAGS_LONG, long))
        return True

    def many(self, lines: Sequence[bytes], labels: LabelSet) -> list[Fate]:
        """What becomes of lines that have the same labels: the same as of each by itself, for a fraction of the price
        where they have the same fields. Values are not extracted.
        """
        runs = self._rows.many(lines)
        if len(runs) == 1:
            return self._run(*runs[0], labels, lines)
        fates: list[Fate] = []
        for names, rows in runs:
            begin = len(fates)
            fates += self._run(names, rows, labels, lines[begin : begin + len(rows)])
        return fates

    def _run(
        self, names: list[str] | None, rows: Sequence[Iterable[Any]], labels: LabelSet, lines: Sequence[bytes]
    ) -> list[Fate]:
        """Lines with the same fields; `names` None: no access logs."""
        if names is None:
            return [(labels, b"")] * len(lines)
        try:
            return self._columns(names, list(zip(*rows, strict=True)), self._places.of(labels))
        except TypeError:  # an object or a list among the values
            return [self._fate(line, labels) for line in lines]

    def _columns(self, names: list[str], columns: list[tuple[Any, ...]], place: Place) -> list[Fate]:
        """The same, field by field. Raises TypeError, having counted nothing."""
        absent = (None,) * len(columns[0])
        by_name = dict(zip(names, columns, strict=True))
        keys = zip(*(by_name.get(name, absent) for name in (_CLUSTER, _ROUTE, _CODE)), strict=True)
        labels = list(map(place.__getitem__, keys))
        if all(labels):
            return list(zip(labels, self._packed(names, columns, place), strict=True))
        kept = [tuple(compress(column, labels)) for column in columns]
        packed = iter(self._packed(names, kept, place) if kept[0] else ())
        fates: list[Fate] = [(one, next(packed)) if one is not None else (None, b"") for one in labels]
        for _ in range(labels.count(None)):
            self._dropped(_DROPPED)
        return fates

    def _packed(self, names: list[str], columns: list[tuple[Any, ...]], place: Place) -> list[bytes]:
        """The structured metadata of each line."""
        encoded = self._pairs.columns(names, columns, place.moved)
        if self._spell and _FLAGS in names:
            encoded.insert(0, [_long_pair(flags) for flags in columns[names.index(_FLAGS)]])
        return list(map(b"".join, zip(*encoded, strict=True)))

    def _fate(self, line: bytes, labels: LabelSet) -> Fate:
        """One line by itself."""
        entry = Entry(labels, 0, line)
        if not self(entry):
            return None, b""
        return entry.labels, b"".join([encode_pair(*pair) for pair in entry.metadata]) + entry.packed


def _long(flags: Any) -> str:
    """The flags spelled out; nothing for none."""
    return spelled(flags) if isinstance(flags, str) and flags not in ("", "-") else ""


def _long_pair(flags: Any) -> bytes:
    long = _long(flags)
    return encode_pair(_FLAGS_LONG, long) if long else b""


STAGES = {"envoy": EnvoyStage}
