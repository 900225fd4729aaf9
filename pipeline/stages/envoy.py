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

    from pipeline.config.stages.envoy import EnvoyStage
    from pipeline.stages.entry import Entry
    from pipeline.stages.labelsets import LabelSet
    from pipeline.stages.pipeline import Apply, Job

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


class _Sides(dict[str | int | None, str]):
    """`inbound`, `outbound` or nothing for a cluster's name."""

    def __missing__(self, cluster: str | int | None) -> str:
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


class _Places(dict["LabelSet", tuple["LabelSet", bytes]]):
    """Labels as they come, to the labels that stay, and the others as encoded pairs."""

    def __init__(self, kept: tuple[str, ...]) -> None:
        super().__init__()
        self._kept = frozenset((*kept, TENANT))

    def __missing__(self, labels: LabelSet) -> tuple[LabelSet, bytes]:
        others = [(name, value) for name, value in labels.pairs if name not in self._kept]
        made = (
            labels.only(self._kept),
            b"".join([encode_pair(_NOT_NAME.sub("_", name), value) for name, value in others if value]),
        )
        if len(self) >= _MOST_VALUES:
            self.clear()
        self[labels] = made
        return made


def envoy_stage(settings: EnvoyStage, job: Job) -> Apply:
    """See the module."""
    read = _reader(settings.format)
    pairs, sides, classes, places = _Pairs(settings.fields), _Sides(), _Classes(), _Places(settings.labels)
    wanted = frozenset(settings.labels)
    put_side, put_class = "direction" in wanted, "response_code_class" in wanted
    other = {"inbound": "outbound", "outbound": "inbound"}.get(settings.keep)
    spell = settings.spell_flags
    dropped, values_wanted = job.dropped, job.values_wanted

    def apply(entry: Entry) -> bool:
        fields = read(entry.line)
        if fields is None:
            return True
        side = sides[_name(fields, "upstream_cluster")] or sides[_name(fields, "route_name")]
        if side and side == other:
            dropped(_DROPPED)
            return False
        labels, moved = places[entry.labels]
        if put_side and side:
            labels = labels.put("direction", side)
        if put_class:
            labels = labels.put("response_code_class", classes[_name(fields, "response_code")])
        entry.labels = labels
        entry.packed += moved + pairs.packed(fields)
        if values_wanted:
            entry.extracted.update(fields)
        if spell:
            flags = fields.get("response_flags")
            if isinstance(flags, str) and flags not in ("", "-"):
                entry.metadata.append(("response_flags_long", spelled(flags)))
        return True

    return apply


def _name(fields: Fields, field: str) -> str | int | None:
    """A field that ought to be a name or a number; None for what is not."""
    value = fields.get(field)
    return value if isinstance(value, str | int) else None


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


STAGES = {"envoy": envoy_stage}
