"""`template` and `replace`: texts made by Go templates from what was extracted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.expressions.go_template import Data, Template
from pipeline.expressions.search import Search
from pipeline.expressions.template_values import ABSENT, TemplateError
from pipeline.stages.entry import source_bytes, text_of

if TYPE_CHECKING:
    from pipeline.config.stages.parsing import ReplaceStage, TemplateStage
    from pipeline.expressions.search import Spans
    from pipeline.stages.entry import Entry
    from pipeline.stages.pipeline import Apply, Job


def template_stage(settings: TemplateStage, _job: Job) -> Apply:
    """`.Value` is the source's value, `.Entry` the line, and every extracted value has its name. An empty result takes
    the value away; a template that fails changes nothing.
    """
    template = Template(settings.template)
    source = settings.source

    def apply(entry: Entry) -> bool:
        extracted = entry.extracted

        def lookup(name: str) -> Any:
            if name == "Entry":
                return entry.line.decode(errors="replace")
            if name == "Value" and source in extracted:
                name = source
            text = text_of(extracted.get(name))
            return ABSENT if text is None else text

        try:
            made = template.render(Data(lookup))
        except TemplateError:
            return True
        if made:
            extracted[source] = made
        else:
            extracted.pop(source, None)
        return True

    return apply


def replace_stage(settings: ReplaceStage, _job: Job) -> Apply:
    """What the groups take is replaced by the template; named groups are extracted as what they became."""
    search = Search(settings.expression)
    template = Template(settings.replace)
    source = settings.source
    names = [(name, index) for index, name in enumerate(search.names, 1) if name]

    def apply(entry: Entry) -> bool:
        text = entry.line if source is None else source_bytes(entry, source)
        if text is None:
            return True
        matches = list(search.all(text))
        if not matches:
            return True
        try:
            result, made = _replaced(text, matches, template, entry.extracted)
        except TemplateError:
            return True
        if source is None:
            entry.line = result
        else:
            entry.extracted[source] = result.decode(errors="replace")
        for name, index in names:
            start, end = matches[0][index]
            captured = text[start:end] if start >= 0 else b""
            if captured in made:
                entry.extracted[name] = made[captured]
        return True

    return apply


def _replaced(
    text: bytes, matches: list[Spans], template: Template, extracted: dict[str, Any]
) -> tuple[bytes, dict[bytes, str]]:
    """The text with its groups replaced, and what each captured text became. A group inside another is left out."""
    parts: list[bytes] = []
    made: dict[bytes, str] = {}
    done = 0
    for spans in matches:
        for start, end in spans[1:]:
            if start < 0:
                continue
            captured = text[start:end]
            value = captured.decode(errors="replace")
            became = made[captured] = template.render(_data(value, extracted))
            if done <= start:
                parts += (text[done:start], became.encode())
                done = end
    parts.append(text[done:])
    return b"".join(parts), made


def _data(value: str, extracted: dict[str, Any]) -> Data:
    def lookup(name: str) -> Any:
        text = value if name == "Value" else text_of(extracted.get(name))
        return ABSENT if text is None else text

    return Data(lookup)


STAGES = {"template": template_stage, "replace": replace_stage}
