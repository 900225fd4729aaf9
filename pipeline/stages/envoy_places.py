"""The labels of access logs: the few that stay, the side of the proxy that wrote a line, the class of the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.stages.entry import text_of
from pipeline.stages.envoy_pairs import name_of
from topics.push_request import encode_pair

if TYPE_CHECKING:
    from pipeline.stages.labelsets import LabelSet

MOST = 4096
"""How many values each of the memories here may hold."""

Key = tuple[Any, Any, Any]
"""Upstream cluster, route name and response code of a line."""


class _Sides(dict[Any, str]):
    """`inbound`, `outbound` or nothing for a cluster's name."""

    def __missing__(self, cluster: Any) -> str:
        name = str(cluster or "")
        side = ""
        if name.startswith(("inbound|", "InboundPassthroughCluster")):
            side = "inbound"
        elif name.startswith(("outbound|", "outbound_.", "PassthroughCluster", "BlackHoleCluster")):
            side = "outbound"
        if len(self) >= MOST:
            self.clear()
        self[cluster] = side
        return side


class _Classes(dict[Any, str]):
    """`2xx` for 200; `none` for a response that never was."""

    def __missing__(self, code: Any) -> str:
        text = text_of(code) or ""
        made = f"{text[0]}xx" if len(text) == 3 and text.isdigit() and text[0] != "0" else "none"
        if len(self) < MOST:
            self[code] = made
        return made


class Place(dict[Key, "LabelSet | None"]):
    """What becomes of a line's labels: by its key those that it keeps, with the new ones; None if it is of the side
    that is not wanted. `moved`: the others, as encoded pairs. An object or a list in a key raises TypeError.
    """

    __slots__ = ("_base", "_places", "moved")

    def __init__(self, labels: LabelSet, places: Places) -> None:
        super().__init__()
        others = [(name, value) for name, value in labels.pairs if name not in places.kept and value]
        self.moved = b"".join([encode_pair(name_of(name), value) for name, value in others])
        self._base = labels.only(places.kept)
        self._places = places

    def __missing__(self, key: Key) -> LabelSet | None:
        cluster, route, code = key
        places = self._places
        side = places.sides[cluster] or places.sides[route]
        if side == places.other:
            return self._known(key, None)
        made = self._base.put("direction", side) if places.with_side and side else self._base
        return self._known(key, made.put("response_code_class", places.classes[code]) if places.with_class else made)

    def _known(self, key: Key, made: LabelSet | None) -> LabelSet | None:
        if len(self) >= MOST:
            self.clear()
        self[key] = made
        return made


class Places:
    """The places of a job. `kept`: the labels that stay; `other`: the side whose lines are dropped."""

    def __init__(self, kept: frozenset[str], other: str | None) -> None:
        self.kept = kept
        self.other = other
        self.with_side = "direction" in kept
        self.with_class = "response_code_class" in kept
        self.sides, self.classes = _Sides(), _Classes()
        self._known: dict[LabelSet, Place] = {}
        self._last: LabelSet | None = None
        self._place: Place

    def of(self, labels: LabelSet) -> Place:
        """The place of lines with these labels."""
        if labels is self._last:
            return self._place
        place = self._known.get(labels)
        if place is None:
            if len(self._known) >= MOST:
                self._known.clear()
            place = self._known[labels] = Place(labels, self)
        self._last, self._place = labels, place
        return place
