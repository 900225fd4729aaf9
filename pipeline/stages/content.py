"""Stages that set the line, its time and its tenant: output, timestamp, tenant, pack, docker, decolorize."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING

from pipeline.config.stages.labelling import OutputStage, TimestampStage
from pipeline.config.stages.parsing import JsonStage
from pipeline.expressions import go_time, json_path
from pipeline.stages.entry import TENANT, text_of
from pipeline.stages.labels import labels_stage
from pipeline.stages.parse_json import json_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config.stages.formats import DecolorizeStage, DockerStage
    from pipeline.config.stages.labelling import PackStage, TenantStage
    from pipeline.stages.entry import Entry
    from pipeline.stages.labelsets import LabelSet
    from pipeline.stages.pipeline import Apply, Job

_KNOWN_TIMES = 10_000
_NS = 1_000_000_000
_COLOURS = re.compile(
    "[\x1b\x9b][\\[\\]()#;?]*(?:(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\x07)"
    "|(?:(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~]))"
)


def output_stage(settings: OutputStage, _job: Job) -> Apply:
    """The line becomes the value; a value that was not extracted changes nothing."""
    source = settings.source

    def apply(entry: Entry) -> bool:
        text = text_of(entry.extracted.get(source))
        if text is not None:
            entry.line = text.encode(errors="replace")
        return True

    return apply


class LastTimes:
    """The last known time of each set of labels, for `fudge`. Bounded: the one not asked for longest goes first."""

    def __init__(self, most: int = _KNOWN_TIMES) -> None:
        self._most = most
        self._known: OrderedDict[LabelSet, int] = OrderedDict()

    def learn(self, labels: LabelSet, ts_ns: int) -> None:
        """This is the last one now."""
        self._known[labels] = ts_ns
        self._known.move_to_end(labels)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def fudged(self, labels: LabelSet) -> int | None:
        """One nanosecond after the last one, which this is now; None when there is none."""
        last = self._known.get(labels)
        if last is None:
            return None
        self.learn(labels, last + 1)
        return last + 1


def timestamp_stage(settings: TimestampStage, job: Job) -> Apply:
    """The time becomes the value's; one that cannot be read, as `action_on_failure` says."""
    parse = _any_of(settings, job)
    source = settings.source
    last = LastTimes() if settings.action_on_failure == "fudge" else None

    def apply(entry: Entry) -> bool:
        ts_ns = _read(parse, text_of(entry.extracted.get(source)))
        if ts_ns is not None:
            entry.ts_ns = ts_ns
            if last is not None:
                last.learn(entry.labels, ts_ns)
        elif last is not None:
            entry.ts_ns = last.fudged(entry.labels) or entry.ts_ns
        return True

    return apply


def _read(parse: Callable[[str], int], text: str | None) -> int | None:
    try:
        return None if text is None else parse(text)
    except ValueError:
        return None


def _any_of(settings: TimestampStage, job: Job) -> Callable[[str], int]:
    first, *others = (
        go_time.parser(name, settings.location, job.clock.now) for name in (settings.format, *settings.fallback_formats)
    )
    if not others:
        return first

    def parse(text: str) -> int:
        try:
            return first(text)
        except ValueError as error:
            for other in others:
                try:
                    return other(text)
                except ValueError:
                    continue
            raise error from None

    return parse


def tenant_stage(settings: TenantStage, _job: Job) -> Apply:
    """The tenant goes with the labels, under a name that no stream shows; an empty one changes nothing."""
    label, source, value = settings.label, settings.source, settings.value

    def apply(entry: Entry) -> bool:
        if source:
            tenant = text_of(entry.extracted.get(source))
        elif label:
            tenant = entry.labels.mapping.get(label)
        else:
            tenant = value
        if tenant:
            entry.labels = entry.labels.put(TENANT, tenant)
        return True

    return apply


def pack_stage(settings: PackStage, job: Job) -> Apply:
    """The line becomes a JSON object of these values and `_entry`, the line that it was."""
    names = tuple(dict.fromkeys(settings.labels))
    ingest = settings.ingest_timestamp
    now = job.clock.now

    def apply(entry: Entry) -> bool:
        packed = {name: text for name in names if (text := text_of(entry.extracted.get(name))) is not None}
        parts = [f"{json_path.dumps(name)}:{json_path.dumps(packed[name])}" for name in sorted(packed)]
        parts.append(f'"_entry":{json_path.dumps(entry.line.decode(errors="replace"))}')
        entry.line = ("{" + ",".join(parts) + "}").encode()
        for name in packed:
            if name in entry.labels.mapping:
                entry.labels = entry.labels.without(name)
        if ingest:
            entry.ts_ns = int(now() * _NS)
        return True

    return apply


def docker_stage(_settings: DockerStage, job: Job) -> Apply:
    """Docker's json-file lines: the `log`, the `stream` as a label, the `time`. Built of stages, as Promtail's is."""
    steps = (
        json_stage(JsonStage(expressions={"output": "log", "stream": "stream", "timestamp": "time"}), job),
        labels_stage({"stream": "stream"}, job),
        timestamp_stage(TimestampStage(source="timestamp", format="RFC3339Nano"), job),
        output_stage(OutputStage(source="output"), job),
    )

    def apply(entry: Entry) -> bool:
        entry.extracted.update(entry.labels.mapping)
        for step in steps:
            step(entry)
        return True

    return apply


def decolorize_stage(_settings: DecolorizeStage, _job: Job) -> Apply:
    """Escape sequences of terminals go."""

    def apply(entry: Entry) -> bool:
        line = entry.line
        if b"\x1b" in line or b"\xc2\x9b" in line:
            entry.line = _COLOURS.sub("", line.decode(errors="replace")).encode()
        return True

    return apply


STAGES = {
    "output": output_stage,
    "timestamp": timestamp_stage,
    "tenant": tenant_stage,
    "pack": pack_stage,
    "docker": docker_stage,
    "decolorize": decolorize_stage,
}
