"""Label sets that are shared: one object for each set of a job, reached from another one by a remembered step.

A stage that sets a label pays for a dictionary look-up, not for a copy, once the step was taken before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST_SETS = 10_000


class LabelSet:
    """An immutable set of labels. `mapping` must not be written to. `stream`: the owner of the last stage keeps here
    what it knows of the stream.
    """

    __slots__ = ("_hash", "_sets", "_steps", "mapping", "pairs", "stream")

    def __init__(self, sets: LabelSets, mapping: Mapping[str, str], pairs: tuple[tuple[str, str], ...]) -> None:
        self.mapping = mapping
        self.pairs = pairs
        self.stream: Any = None
        self._sets = sets
        self._hash = hash(pairs)
        self._steps: dict[tuple[str, str | None], LabelSet] = {}

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, LabelSet) and self.pairs == other.pairs)

    def __repr__(self) -> str:
        return f"LabelSet({dict(self.mapping)!r})"

    def put(self, name: str, value: str) -> LabelSet:
        """This set with the label at this value."""
        found = self._steps.get((name, value))
        return self._step(name, value) if found is None else found

    def without(self, name: str) -> LabelSet:
        """This set without the label."""
        found = self._steps.get((name, None))
        return self._step(name, None) if found is None else found

    def only(self, names: Iterable[str]) -> LabelSet:
        """This set with these labels alone."""
        kept = self
        for name in self.mapping.keys() - set(names):
            kept = kept.without(name)
        return kept

    def forget(self) -> None:
        """Drop the remembered steps."""
        self._steps = {}

    def _step(self, name: str, value: str | None) -> LabelSet:
        mapping = dict(self.mapping)
        if value is None:
            mapping.pop(name, None)
        else:
            mapping[name] = value
        self._sets.keep(self)
        found = self._sets.of(mapping)
        self._steps[name, value] = found
        return found


class LabelSets:
    """All label sets of a job. Bounded: beyond `most` of them it begins anew, and sets that are in use live on."""

    def __init__(self, most: int = _MOST_SETS) -> None:
        self._most = most
        self._known: dict[tuple[tuple[str, str], ...], LabelSet] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, mapping: Mapping[str, str]) -> LabelSet:
        """The one object for these labels."""
        pairs = tuple(sorted(mapping.items()))
        found = self._known.get(pairs)
        if found is None:
            if len(self._known) >= self._most:
                for one in self._known.values():
                    one.forget()
                self._known.clear()
            found = self._known[pairs] = LabelSet(self, dict(pairs), pairs)
        return found

    def keep(self, one: LabelSet) -> None:
        """A set that remembers steps is among the known ones, so that its memory is bounded too."""
        self._known.setdefault(one.pairs, one)
