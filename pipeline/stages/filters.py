"""Stages that drop lines, thin them out or cut them: drop, limit, sampling, truncate."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from pipeline.expressions.search import Search
from pipeline.stages.entry import text_of
from pipeline.stages.rates import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config.stages.filtering import DropStage, LimitStage, SamplingStage, TruncateRule, TruncateStage
    from pipeline.stages.entry import Entry
    from pipeline.stages.pipeline import Apply, Emit, Job, Way

_NS = 1_000_000_000
_LEAST_DISTINCT = 10_000


class DropJoint:
    """Lines that meet all conditions go."""

    def __init__(self, settings: DropStage, job: Job) -> None:
        self._tests = _conditions(settings)
        self._older_ns = None if settings.older_than is None else int(settings.older_than * _NS)
        self._now = job.clock.now
        self._reason = settings.drop_counter_reason or "drop_stage"
        self._dropped = job.dropped

    def attach(self, way: Way, emit: Emit) -> Emit:
        """On one path. A line that was taken before a restart is not too old now."""
        tests, older_ns, now = self._tests, self._older_ns, self._now

        def push(entry: Entry) -> None:
            for test in tests:
                if not test(entry):
                    emit(entry)
                    return
            if older_ns is not None and (way.replaying or entry.ts_ns >= int(now() * _NS) - older_ns):
                emit(entry)
            elif not way.replaying:
                self._dropped(self._reason)

        return push


def _conditions(settings: DropStage) -> list[Callable[[Entry], bool]]:
    tests: list[Callable[[Entry], bool]] = []
    longer = settings.longer_than
    if longer is not None:
        tests.append(lambda entry: len(entry.line) > longer)
    sources = settings.source
    if settings.value is not None:
        wanted = settings.value
        tests.append(lambda entry: _joined(entry, sources or (), settings.separator) == wanted)
    elif settings.expression is not None and sources is not None:
        found = Search(settings.expression).found
        tests.append(
            lambda entry: (text := _joined(entry, sources, settings.separator)) is not None and found(text.encode())
        )
    elif settings.expression is not None:
        matches = Search(settings.expression).found
        tests.append(lambda entry: matches(entry.line))
    elif sources is not None:
        tests.append(lambda entry: all(source in entry.extracted for source in sources))
    return tests


def _joined(entry: Entry, sources: tuple[str, ...], separator: str) -> str | None:
    """The values that were extracted, joined; None when one of them has no text."""
    texts = [text_of(entry.extracted[source]) for source in sources if source in entry.extracted]
    return None if None in texts else separator.join([text for text in texts if text is not None])


class LimitJoint:
    """So many lines a second, over all paths of the job."""

    def __init__(self, settings: LimitStage, job: Job) -> None:
        self._settings = settings
        self._bucket = Bucket(settings.rate, settings.burst)
        self._by_label: dict[str, Bucket] = {}
        self._most = max(settings.max_distinct_labels, _LEAST_DISTINCT)
        self._dropped = job.dropped

    def attach(self, way: Way, emit: Emit) -> Emit:
        """On one path."""
        settings = self._settings

        def push(entry: Entry) -> None:
            if way.replaying:
                emit(entry)
                return
            bucket = self._of(entry) if settings.by_label_name else self._bucket
            if bucket is None:
                emit(entry)
            elif not settings.drop:
                way.resume_s = max(way.resume_s, bucket.borrow(way.now_s))
                emit(entry)
            elif bucket.allow(way.now_s):
                emit(entry)
            else:
                self._dropped("ratelimit_drop_stage")

        return push

    def _of(self, entry: Entry) -> Bucket | None:
        value = entry.labels.mapping.get(self._settings.by_label_name)
        if value is None:
            return None
        bucket = self._by_label.get(value)
        if bucket is None:
            if len(self._by_label) >= self._most:
                self._by_label.clear()
            bucket = self._by_label[value] = Bucket(self._settings.rate, self._settings.burst)
        return bucket


class SamplingJoint:
    """A share of the lines, by chance."""

    def __init__(self, settings: SamplingStage, job: Job) -> None:
        self._rate = settings.rate
        self._reason = settings.drop_counter_reason or "sampling_stage"
        self._dropped = job.dropped
        self._random = random.Random()  # noqa: S311  a sample is no secret

    def attach(self, way: Way, emit: Emit) -> Emit:
        """On one path. A line that was taken before a restart was sampled already."""

        def push(entry: Entry) -> None:
            if way.replaying or self._random.random() < self._rate:
                emit(entry)
            else:
                self._dropped(self._reason)

        return push


def truncate_stage(settings: TruncateStage, _job: Job) -> Apply:
    """What is too long is cut, never inside a character, and ends with the suffix."""
    rules = [_RULES[rule.source_type](rule) for rule in settings.rules]

    def apply(entry: Entry) -> bool:
        for rule in rules:
            rule(entry)
        return True

    return apply


def _cut(text: bytes, rule: TruncateRule) -> bytes:
    end = rule.limit - len(rule.suffix.encode())
    while end > 0 and text[end] & 0xC0 == 0x80:
        end -= 1
    return text[:end] + rule.suffix.encode()


def _cut_text(text: str, rule: TruncateRule) -> str:
    raw = text.encode()
    return text if len(raw) <= rule.limit else _cut(raw, rule).decode()


def _cut_line(rule: TruncateRule) -> Callable[[Entry], None]:
    def run(entry: Entry) -> None:
        if len(entry.line) > rule.limit:
            entry.line = _cut(entry.line, rule)

    return run


def _cut_labels(rule: TruncateRule) -> Callable[[Entry], None]:
    def run(entry: Entry) -> None:
        labels = entry.labels
        for name in rule.sources or labels.mapping:
            value = labels.mapping.get(name, "")
            if len(value) * 4 > rule.limit:
                entry.labels = entry.labels.put(name, _cut_text(value, rule)) if value else entry.labels

    return run


def _cut_metadata(rule: TruncateRule) -> Callable[[Entry], None]:
    def run(entry: Entry) -> None:
        wanted = frozenset(rule.sources)
        entry.metadata = [
            (name, _cut_text(value, rule) if not wanted or name in wanted else value) for name, value in entry.metadata
        ]

    return run


def _cut_extracted(rule: TruncateRule) -> Callable[[Entry], None]:
    def run(entry: Entry) -> None:
        for name in rule.sources or tuple(entry.extracted):
            value = entry.extracted.get(name)
            if isinstance(value, str):
                entry.extracted[name] = _cut_text(value, rule)

    return run


_RULES = {
    "line": _cut_line,
    "label": _cut_labels,
    "structured_metadata": _cut_metadata,
    "extracted": _cut_extracted,
}

STAGES = {"drop": DropJoint, "limit": LimitJoint, "sampling": SamplingJoint, "truncate": truncate_stage}
