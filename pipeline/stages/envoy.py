"""`envoy`: access logs of Envoy and Istio: few labels, the rest structured metadata, one side on request.

The fields go encoded into the entry: a pair that was seen before costs a look-up. They are extracted values too, so
that stages after this one may use them. A line that is no access log (sidecars write others as well) stays as it is.
"""

from __future__ import annotations

import re
from operator import getitem
from typing import TYPE_CHECKING, Any

from pipeline.expressions import envoy_format, json_path
from pipeline.stages.entry import TENANT, text_of
from pipeline.stages.envoy_flags import spelled
from topics.push_request import encode_pair
from topics.wire import varint

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config.stages.envoy import EnvoyStage as Settings
    from pipeline.stages.entry import Entry
    from pipeline.stages.labelsets import LabelSet
    from pipeline.stages.pipeline import Job

Fields = dict[str, Any]

_NOT_NAME = re.compile(r"[^a-zA-Z0-9_]")
_MOST_VALUES = 4096
_MOST_NAMES = 256
_DROPPED = "envoy_other_side"


class _Values(dict[Any, bytes]):
    """The encoded pair of each value of one field; nothing for a value that is not set.

    A field that has shown too many values, such as a request's id, is encoded each time.
    """

    __slots__ = ("_heads", "_name", "_remember", "_wanted")

    def __init__(self, name: str, *, wanted: bool) -> None:
        super().__init__()
        self._name = _NOT_NAME.sub("_", name)
        self._wanted = wanted
        self._remember = True
        self._heads = _heads(self._name) if wanted else ()
        for unset in (None, "", "-"):
            self[unset] = b""

    def __missing__(self, value: Any) -> bytes:
        if not self._wanted:
            return b""
        text = value if type(value) is str else text_of(value) or ""
        raw = text.encode()
        made = self._heads[len(raw)] + raw if len(raw) < len(self._heads) else encode_pair(self._name, text)
        if self._remember:
            self[value] = made
            self._remember = len(self) < _MOST_VALUES
        return made


def _heads(name: str) -> tuple[bytes, ...]:
    """What stands before a value of each length, as long as all lengths fit into a byte."""
    raw = name.encode()
    opening = b"\x0a" + varint(len(raw)) + raw + b"\x12"
    return tuple(
        b"\x1a" + varint(len(opening) + 1 + size) + opening + varint(size) for size in range(max(0, 127 - len(opening)))
    )


class _Pairs:
    """The values of each field. Lines of one format have the same fields in the same order, so where the values are
    looked up is remembered for all fields at once.
    """

    __slots__ = ("_by_name", "_last_names", "_last_values", "_wanted")

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self._wanted = frozenset(wanted)
        self._by_name: dict[str, _Values] = {}
        self._last_names: list[str] = []
        self._last_values: list[_Values] = []

    def packed(self, fields: Fields) -> bytes:
        """All fields that are set, encoded."""
        names = list(fields)
        if names != self._last_names:
            self._last_names, self._last_values = names, [self._values(name) for name in names]
        try:
            return b"".join(map(getitem, self._last_values, fields.values()))
        except TypeError:  # an object or a list in the JSON of a custom format
            flat = [json_path.dumps(value) if isinstance(value, dict | list) else value for value in fields.values()]
            return b"".join(map(getitem, self._last_values, flat))

    def _values(self, name: str) -> _Values:
        found = self._by_name.get(name)
        if found is None:
            found = _Values(name, wanted=not self._wanted or name in self._wanted)
            if len(self._by_name) < _MOST_NAMES:
                self._by_name[name] = found
        return found


class _Sides(dict[Any, str]):
    """`inbound`, `outbound` or nothing for a cluster's name."""

    def __missing__(self, cluster: Any) -> str:
        name = str(cluster or "")
        side = ""
        if name.startswith(("inbound|", "InboundPassthroughCluster")):
            side = "inbound"
        elif name.startswith(("outbound|", "outbound_.", "PassthroughCluster", "BlackHoleCluster")):
            side = "outbound"
        if len(self) >= _MOST_VALUES:
            self.clear()
        self[cluster] = side
        return side


class _Classes(dict[Any, str]):
    """`2xx` for 200; `none` for a response that never was."""

    def __missing__(self, code: Any) -> str:
        text = text_of(code) or ""
        made = f"{text[0]}xx" if len(text) == 3 and text.isdigit() and text[0] != "0" else "none"
        if len(self) < _MOST_VALUES:
            self[code] = made
        return made


class _Place:
    """What becomes of the labels of a line: those that stay, with the new ones, and the others as encoded pairs."""

    __slots__ = ("_base", "_class", "_made", "_side", "moved")

    def __init__(self, labels: LabelSet, kept: frozenset[str], classes: _Classes) -> None:
        others = [(name, value) for name, value in labels.pairs if name not in kept and value]
        self.moved = b"".join([encode_pair(_NOT_NAME.sub("_", name), value) for name, value in others])
        self._base = labels.only(kept)
        self._side = "direction" in kept
        self._class = classes if "response_code_class" in kept else None
        self._made: dict[tuple[str, Any], LabelSet] = {}

    def labels(self, side: str, code: Any) -> LabelSet:
        """The labels of a line of this side with this response code."""
        made = self._made.get((side, code))
        if made is None:
            made = self._base.put("direction", side) if self._side and side else self._base
            if self._class is not None:
                made = made.put("response_code_class", self._class[code])
            if len(self._made) < _MOST_VALUES:
                self._made[side, code] = made
        return made


class EnvoyStage:
    """The stage of a job; a function over entries."""

    def __init__(self, settings: Settings, job: Job) -> None:
        self._read = _reader(settings.format)
        self._packed = _Pairs(settings.fields).packed
        self._sides, self._classes = _Sides(), _Classes()
        self._kept = frozenset((*settings.labels, TENANT))
        self._other = {"inbound": "outbound", "outbound": "inbound"}.get(settings.keep)
        self._spell = settings.spell_flags
        self._dropped, self._values_wanted = job.dropped, job.values_wanted
        self._places: dict[LabelSet, _Place] = {}
        self._last: LabelSet | None = None
        self._place: _Place

    def __call__(self, entry: Entry) -> bool:
        """Whether the entry goes on."""
        fields = self._read(entry.line)
        if fields is None:
            return True
        get = fields.get
        try:
            side = self._sides[get("upstream_cluster")] or self._sides[get("route_name")]
            if side == self._other:
                self._dropped(_DROPPED)
                return False
            labels = entry.labels
            place = self._place if labels is self._last else self._place_of(labels)
            entry.labels = place.labels(side, get("response_code"))
        except TypeError:  # an object or a list where a name or a number ought to be
            return True
        entry.packed += place.moved + self._packed(fields)
        if self._values_wanted:
            entry.extracted.update(fields)
        if self._spell:
            flags = get("response_flags")
            if isinstance(flags, str) and flags not in ("", "-"):
                entry.metadata.append(("response_flags_long", spelled(flags)))
        return True

    def _place_of(self, labels: LabelSet) -> _Place:
        place = self._places.get(labels)
        if place is None:
            if len(self._places) >= _MOST_VALUES:
                self._places.clear()
            place = self._places[labels] = _Place(labels, self._kept, self._classes)
        self._last, self._place = labels, place
        return place


def _reader(name: str) -> Callable[[bytes], Fields | None]:
    if name == "json":
        return _json
    if name == "istio":
        return _text([envoy_format.compiled(envoy_format.ISTIO)])
    if name == "envoy":
        return _text([envoy_format.compiled(envoy_format.ENVOY)])
    if name != "auto":
        return _text([envoy_format.compiled(name)])
    texts = _text([envoy_format.compiled(one) for one in (envoy_format.ISTIO, envoy_format.ENVOY)])

    def auto(line: bytes) -> Fields | None:
        return _json(line) if line[:1] == b"{" else texts(line) if line[:1] == b"[" else None

    return auto


def _json(line: bytes) -> Fields | None:
    try:
        found = json_path.loads(line)
    except ValueError:
        return None
    return found if type(found) is dict and "response_code" in found else None


def _text(formats: list[envoy_format.AccessFormat]) -> Callable[[bytes], Fields | None]:
    def read(line: bytes) -> Fields | None:
        text = line.decode(errors="replace")
        for one in formats:
            found = one.fields(text)
            if found is not None:
                return found
        return None

    return read


STAGES = {"envoy": EnvoyStage}
