"""`logfmt`: values out of `key=value` pairs, as Go's logfmt package reads them: up to the first thing that is none."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from pipeline.stages.entry import source_text

if TYPE_CHECKING:
    from pipeline.config.stages.parsing import LogfmtStage
    from pipeline.stages.entry import Entry
    from pipeline.stages.pipeline import Apply, Job

_PAIR = re.compile(
    r"""[\x00-\x20]*+([^\x00-\x20="]++)(?:=(?:"((?:[^"\\]++|\\.)*+)"|([^\x00-\x20="]*+)(?!["=]))|(?!["=]))""", re.S
)


def logfmt_stage(settings: LogfmtStage, _job: Job) -> Apply:
    """A key without a value is extracted as an empty text."""
    wanted = {key or name: name for name, key in settings.mapping.items()}
    source = settings.source

    def apply(entry: Entry) -> bool:
        text = entry.line.decode(errors="replace") if source is None else source_text(entry, source)
        if text is None:
            return True
        extracted = entry.extracted
        position = 0
        while (match := _PAIR.match(text, position)) is not None:
            position = match.end()
            key, quoted, bare = match.groups()
            if quoted is not None and "\\" in quoted:
                value = _unquoted(quoted)
                if value is None:
                    return True
            else:
                value = quoted or bare or ""
            name = wanted.get(key)
            if name is not None:
                extracted[name] = value
        return True

    return apply


def _unquoted(quoted: str) -> str | None:
    try:
        return str(json.loads(f'"{quoted}"'))
    except ValueError:
        return None


STAGES = {"logfmt": logfmt_stage}
