"""A list of rules, run in order over one label set. Callers memoise what comes out by raw label bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.relabel.actions import Builder, apply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.relabel.rule import RelabelRule


class Program:
    """Rules in the order in which they were written. Immutable; the same labels always give the same result."""

    __slots__ = ("empty", "rules")

    def __init__(self, rules: Sequence[RelabelRule]) -> None:
        self.rules = tuple(rules)
        self.empty = not self.rules

    def run(self, labels: Mapping[str, str]) -> tuple[dict[str, str] | None, int]:
        """The relabelled set as a new dict, and -1; or None and the index of the rule that dropped it.

        The order of what comes out means nothing; no rule leaves an empty value. The argument is left alone.
        """
        if self.empty:
            return dict(labels), -1
        builder = Builder(labels)
        for index, rule in enumerate(self.rules):
            if not apply(rule, builder):
                return None, index
        # labelmap may write a label without a name. Later rules see it, as with Prometheus; it cannot travel.
        builder.values.pop("", None)
        return builder.values, -1
