"""`drop_lines` of a backend: lines that it is not to have, by LogQL, after its rules over labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.content.rewrite import Rewritten
from pipeline.expressions import logql
from topics import labels as label_sets
from topics import push_request
from topics.errors import CorruptMessage, InvalidLabels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.content.rewrite import LogsRewriter

NAME = "drop_lines[{}]"
_MOST_STREAMS = 20_000


class LineDrops:
    """A `Rewriter` that puts line drops behind the rules over labels. `rules` None: there are none."""

    def __init__(self, rules: LogsRewriter | None, drops: Sequence[str]) -> None:
        """`drops` were checked when the configuration was read."""
        self._rules = rules
        self._drops = [logql.parse(text) for text in drops]
        self._known: dict[bytes, tuple[int, ...]] = {}  # labels of a stream → the drops that its lines may fall under

    def rewrite(self, body: bytes, fragments: Sequence[int] = ()) -> Rewritten:
        """See `Rewriter`."""
        result = Rewritten(body, unchanged=True) if self._rules is None else self._rules.rewrite(body, fragments)
        if result.body is None:
            return result
        kept: list[bytes] = []
        dropped = [0] * len(self._drops)
        for raw in push_request.split(result.body):
            text = push_request.labels_of(raw)
            mine = self._mine(text)
            entries = push_request.entries_of(raw) if mine else []
            left = [entry for entry in entries if not self._falls(entry, mine, dropped)]
            if len(left) == len(entries):
                kept.append(push_request.join([raw]))
            elif left:
                kept.append(push_request.stream(text, push_request.join_entries(left)))
        if not any(dropped):
            return result
        named = {NAME.format(index): number for index, number in enumerate(dropped) if number}
        return Rewritten(
            b"".join(kept) or None, dropped_series=result.dropped_series, ruled_out=result.ruled_out | named
        )

    def _mine(self, text: bytes) -> tuple[int, ...]:
        mine = self._known.get(text)
        if mine is None:
            try:
                found = dict(label_sets.parse_text(text.decode()))
            except (InvalidLabels, UnicodeDecodeError) as error:
                raise CorruptMessage(f"the labels of a stream: {error}") from None
            if len(self._known) >= _MOST_STREAMS:
                self._known.clear()
            mine = tuple(index for index, drop in enumerate(self._drops) if drop.labels(found))
            self._known[text] = mine
        return mine

    def _falls(self, raw_entry: bytes, mine: tuple[int, ...], dropped: list[int]) -> bool:
        """Whether a line falls under one of the drops; the first one that it falls under counts it."""
        line: bytes | None = None
        for index in mine:
            takes = self._drops[index].line
            if takes is not None and line is None:
                line = push_request.decode_entry(raw_entry).line.encode()
            if takes is None or takes(line or b""):
                dropped[index] += 1
                return True
        return False
