"""`json`: values out of a JSON object, by JMESPath."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.expressions import json_path
from pipeline.stages.entry import source_text

if TYPE_CHECKING:
    from pipeline.config.stages.parsing import JsonStage
    from pipeline.stages.entry import Entry
    from pipeline.stages.pipeline import Apply, Job


_NESTED = frozenset((dict, list))


def json_stage(settings: JsonStage, _job: Job) -> Apply:
    """Texts, numbers and booleans are extracted as they are, objects and lists as JSON; what is missing, as a null."""
    plain = [(name, path or name) for name, path in settings.expressions.items() if json_path.is_plain(path or name)]
    known = {name for name, _ in plain}
    others = [(name, json_path.compiled(path)) for name, path in settings.expressions.items() if name not in known]
    source, drop = settings.source, settings.drop_malformed
    loads = json_path.loads

    def apply(entry: Entry) -> bool:
        text: bytes | str | None = entry.line if source is None else source_text(entry, source)
        if text is None:
            return True
        try:
            data = loads(text)
        except ValueError:
            return not drop
        if type(data) is not dict:
            if data is not None:
                return not drop
            data = {}
        extracted = entry.extracted
        get = data.get
        for name, key in plain:
            value = get(key)
            extracted[name] = json_path.dumps(value) if type(value) in _NESTED else value
        for name, search in others:
            try:
                value = search(data)
            except ValueError:
                continue
            extracted[name] = json_path.dumps(value) if type(value) in _NESTED else value
        return True

    return apply


STAGES = {"json": json_stage}
