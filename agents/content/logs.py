"""The agent for logs: bodies are logproto.PushRequest, parts are lines in a stream of their own, items are lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.content.codec import Part
from agents.content.rewrite import LogsRewriter
from topics import push_request, wire
from topics.record import Kind

if TYPE_CHECKING:
    from agents.content.rewrite import Rules

_STREAMS = 1


class LogsCodec:
    """See `Codec`."""

    kind = Kind.LOGS
    unwanted = 0
    first_bytes = frozenset({_STREAMS << 3 | wire.LENGTH_DELIMITED})

    def strip(self, body: bytes, extras: int) -> tuple[bytes, int]:
        """Lines have nothing that could be left out."""
        del extras
        return body, 0

    def parts(self, body: bytes) -> list[Part]:
        """Each line as a stream with the labels of its own; Loki takes streams of equal labels one after the other."""
        parts = []
        for raw in push_request.split(body):
            labels = push_request.labels_of(raw)
            entries = [push_request.join_entries([entry]) for entry in push_request.entries_of(raw)]
            parts += [Part(push_request.stream(labels, entry), 1) for entry in entries]
        return parts

    def cut(self, body: bytes, items: int, most: int) -> None:
        """Always by lines."""
        del body, items, most

    def rewriter(self, rules: Rules) -> LogsRewriter:
        """Rules over streams."""
        return LogsRewriter(rules)
