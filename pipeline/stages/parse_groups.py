"""`regex` and `pattern`: named parts of a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.expressions import loki_pattern
from pipeline.expressions.search import Search
from pipeline.stages.entry import source_bytes

if TYPE_CHECKING:
    from pipeline.config.stages.parsing import PatternStage, RegexStage
    from pipeline.stages.entry import Entry
    from pipeline.stages.pipeline import Apply, Job


def regex_stage(settings: RegexStage, _job: Job) -> Apply:
    """Each named group; one that took no part is empty."""
    search = Search(settings.expression)
    names = [(name, index) for index, name in enumerate(search.names, 1) if name]
    source = settings.source
    first = search.first

    def apply(entry: Entry) -> bool:
        text = entry.line if source is None else source_bytes(entry, source)
        if text is None:
            return True
        spans = first(text)
        if spans is not None:
            extracted = entry.extracted
            for name, index in names:
                start, end = spans[index]
                extracted[name] = text[start:end].decode(errors="replace") if start >= 0 else ""
        return True

    return apply


def pattern_stage(settings: PatternStage, _job: Job) -> Apply:
    """Each named capture."""
    captures = loki_pattern.parse(settings.pattern).captures
    source, labels_too = settings.source, settings.labels_from_groups

    def apply(entry: Entry) -> bool:
        text = entry.line if source is None else source_bytes(entry, source)
        if text is None:
            return True
        extracted = entry.extracted
        for name, value in captures(text):
            extracted[name] = value.decode(errors="replace")
            if labels_too:
                entry.labels = entry.labels.put(name, extracted[name])
        return True

    return apply


STAGES = {"regex": regex_stage, "pattern": pattern_stage}
