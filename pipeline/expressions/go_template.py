"""Go's text/template, as far as pipeline stages have a use for it: parsed at load, run once a line.

Known: fields (`.Value`, `.a.b`), variables, pipelines, parentheses, `if`/`else if`/`else`, `with`, `range`, comments,
`{{-` and `-}}`, literals, and the functions of `go_template_functions.py`. Not known, and refused at load: `define`,
`template`, `block`, `break`, `continue`, methods, and functions outside that list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.expressions import go_template_functions as functions
from pipeline.expressions.go_text import unquote
from pipeline.expressions.template_values import ABSENT, TemplateError, printed, truth

if TYPE_CHECKING:
    from collections.abc import Callable

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.S)
_COMMENT = re.compile(r"\{\{(-\s+)?/\*.*?\*/(\s+-)?\}\}", re.S)
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    | (?P<char>'(?:[^'\\]|\\.)+')
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
    | (?P<variable>\$\w*)
    | (?P<field>\.\w+)
    | (?P<dot>\.)
    | (?P<name>\w+)
    | (?P<sign>:=|=|\||\(|\)|,)
    )""",
    re.X | re.S,
)
_REFUSED = frozenset({"define", "template", "block", "break", "continue"})


@dataclass(slots=True)
class _Run:
    dot: Any
    variables: dict[str, Any]
    out: list[str] = field(default_factory=list)


class Template:
    """A parsed template. `literal`: its text when nothing in it depends on the data."""

    __slots__ = ("_do", "literal", "text")

    def __init__(self, text: str) -> None:
        """Parse. Raises ValueError with what is wrong or not known."""
        self.text = text
        parser = _Parser(_pieces(text))
        self._do = parser.sequence(())[0]
        self.literal = text if "{{" not in text else None

    def render(self, dot: Data) -> str:
        """The text for this data. Raises TemplateError."""
        if self.literal is not None:
            return self.literal
        run = _Run(dot, {"$": dot})
        for step in self._do:
            step(run)
        return "".join(run.out)


class Data(dict[str, Any]):
    """The data of one run: `lookup` finds a name that is not in the mapping yet, or gives what stands for it."""

    __slots__ = ("_lookup",)

    def __init__(self, lookup: Callable[[str], Any]) -> None:
        super().__init__()
        self._lookup = lookup

    def __missing__(self, name: str) -> Any:
        found = self[name] = self._lookup(name)
        return found


def _pieces(text: str) -> list[tuple[str, str]]:
    """Texts and actions in order, white space trimmed where `{{-` and `-}}` say so."""
    text = _COMMENT.sub(lambda match: f"{{{{{match[1] or ''}{' -' if match[2] else ''}}}}}", text)
    found: list[tuple[str, str]] = []
    position = 0
    trim = False
    for match in _ACTION.finditer(text):
        before = text[position : match.start()]
        before = before.lstrip() if trim else before
        found.append(("text", before.rstrip() if match[1] else before))
        found.append(("action", match[2].strip()))
        trim = match[3] is not None
        position = match.end()
    rest = text[position:]
    if "{{" in rest:
        raise ValueError("an action {{ is not closed by }}")
    found.append(("text", rest.lstrip() if trim else rest))
    return found


class _Parser:
    def __init__(self, pieces: list[tuple[str, str]]) -> None:
        self._pieces = pieces
        self._at = 0

    def sequence(self, ends: tuple[str, ...]) -> tuple[list[Any], str]:
        """Steps up to one of the ends; and that end's whole text."""
        steps: list[Any] = []
        while self._at < len(self._pieces):
            kind, text = self._pieces[self._at]
            self._at += 1
            if kind == "text":
                if text:
                    steps.append(_says(text))
                continue
            if not text:
                continue
            word = text.split(None, 1)[0]
            if word in ("end", "else"):
                if word not in ends:
                    raise ValueError(f"unexpected {{{{{text}}}}}")
                return steps, text
            steps.append(self._action(word, text))
        if ends:
            raise ValueError("{{end}} is missing")
        return steps, ""

    def _action(self, word: str, text: str) -> Any:
        if word in _REFUSED:
            raise ValueError(f"{word} is not known to headrace's templates")
        rest = text[len(word) :]
        if word == "if":
            return self._if(rest)
        if word == "with":
            return self._with(rest)
        if word == "range":
            return self._range(rest)
        line = _Line(text)
        declared, value = line.command()
        line.end()
        if declared:
            return _declares(declared[-1], value)
        return _prints(value)

    def _branches(self, word: str) -> tuple[list[Any], list[Any]]:
        body, end = self.sequence(("end", "else"))
        if end == "end":
            return body, []
        rest = end[len("else") :].strip()
        if rest.startswith(word + " "):
            return body, [self._if(rest[len(word) :]) if word == "if" else self._with(rest[len(word) :])]
        if rest:
            raise ValueError(f"unexpected {{{{{end}}}}}")
        return body, self.sequence(("end",))[0]

    def _if(self, condition: str) -> Any:
        line = _Line(condition)
        declared, value = line.command()
        line.end()
        body, other = self._branches("if")

        def step(run: _Run) -> None:
            found = value(run)
            _declare(run, declared, found)
            for one in body if truth(found) else other:
                one(run)

        return step

    def _with(self, condition: str) -> Any:
        line = _Line(condition)
        declared, value = line.command()
        line.end()
        body, other = self._branches("with")

        def step(run: _Run) -> None:
            found = value(run)
            _declare(run, declared, found)
            if not truth(found):
                for one in other:
                    one(run)
                return
            dot, run.dot = run.dot, found
            try:
                for one in body:
                    one(run)
            finally:
                run.dot = dot

        return step

    def _range(self, condition: str) -> Any:
        line = _Line(condition)
        declared, value = line.command()
        line.end()
        body, other = self._branches("range")

        def step(run: _Run) -> None:
            pairs = _items(value(run))
            dot = run.dot
            for key, item in pairs:
                _declare(run, declared, item, key)
                run.dot = item
                for one in body:
                    one(run)
            run.dot = dot
            if not pairs:
                for one in other:
                    one(run)

        return step


def _items(found: Any) -> list[tuple[Any, Any]]:
    if isinstance(found, dict):
        return sorted(found.items())
    if isinstance(found, list | tuple):
        return list(enumerate(found))
    if isinstance(found, int) and not isinstance(found, bool):
        return [(index, index) for index in range(found)]
    if found is ABSENT or found is None:
        return []
    raise TemplateError(f"range can't iterate over {printed(found)}")


def _declare(run: _Run, declared: list[str], value: Any, key: Any = None) -> None:
    if len(declared) == 2:
        run.variables[declared[0]] = key
        run.variables[declared[1]] = value
    elif declared:
        run.variables[declared[0]] = value


def _says(text: str) -> Any:
    return lambda run: run.out.append(text)


def _prints(value: Any) -> Any:
    def step(run: _Run) -> None:
        found = value(run)
        run.out.append(found if type(found) is str else printed(found))

    return step


def _declares(name: str, value: Any) -> Any:
    def step(run: _Run) -> None:
        run.variables[name] = value(run)

    return step


class _Line:
    """The tokens of one action."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, bool]] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"cannot read {text[position:].strip()[:30]!r} in {{{{{text.strip()}}}}}")
            kind = match.lastgroup or ""
            self._tokens.append((kind, match[kind], match.start(kind) > position))
            position = match.end()

    def end(self) -> None:
        """Nothing must be left."""
        if self._tokens:
            raise ValueError(f"unexpected {self._tokens[0][1]!r} in an action")

    def command(self) -> tuple[list[str], Any]:
        """Variables that are set, and the value of the pipeline."""
        declared: list[str] = []
        while self._is("variable") and self._is_sign(1, (":=", "=", ",")):
            declared.append(self._tokens.pop(0)[1])
            if self._tokens.pop(0)[1] != ",":
                break
        return declared, self._pipeline()

    def _is(self, kind: str, at: int = 0) -> bool:
        return len(self._tokens) > at and self._tokens[at][0] == kind

    def _is_sign(self, at: int, signs: tuple[str, ...]) -> bool:
        return self._is("sign", at) and self._tokens[at][1] in signs

    def _pipeline(self) -> Any:
        value = self._call(None)
        while self._is_sign(0, ("|",)):
            self._tokens.pop(0)
            value = self._call(value)
        return value

    def _call(self, piped: Any) -> Any:
        """An operand, or a function with its operands; the value piped in is the last of them."""
        if self._is("name") and self._tokens[0][1] not in ("true", "false", "nil"):
            name = self._tokens.pop(0)[1]
            operands = []
            while self._tokens and not self._is_sign(0, ("|", ")")):
                operands.append(self._operand())
            if piped is not None:
                operands.append(piped)
            return _function(name, operands)
        value = self._operand()
        if piped is not None or (self._tokens and not self._is_sign(0, ("|", ")"))):
            raise ValueError("only a function takes arguments")
        return value

    def _operand(self) -> Any:
        if not self._tokens:
            raise ValueError("a value is missing")
        kind, text, _ = self._tokens.pop(0)
        value = self._literal(kind, text)
        if value is None:
            if kind == "sign" and text == "(":
                value = self._pipeline()
                if not self._is_sign(0, (")",)):
                    raise ValueError("a parenthesis is not closed")
                self._tokens.pop(0)
            elif kind == "name":
                value = _function(text, [])
            else:
                raise ValueError(f"unexpected {text!r} in an action")
        while self._is("field") and not self._tokens[0][2]:
            value = _field(value, self._tokens.pop(0)[1][1:])
        return value

    @staticmethod
    def _literal(kind: str, text: str) -> Any:
        if kind == "dot":
            return lambda run: run.dot
        if kind == "field":
            return _field(lambda run: run.dot, text[1:])
        if kind == "variable":
            return lambda run: _variable(run, text)
        if kind == "string":
            return _constant(unquote(text))
        if kind == "char":
            return _constant(ord(unquote(f'"{text[1:-1]}"')))
        if kind == "number":
            return _constant(_number(text))
        if kind == "name" and text in ("true", "false", "nil"):
            return _constant({"true": True, "false": False, "nil": None}[text])
        return None


def _variable(run: _Run, name: str) -> Any:
    try:
        return run.variables[name]
    except KeyError:
        raise TemplateError(f"undefined variable {name}") from None


def _constant(value: Any) -> Any:
    return lambda run: value


def _number(text: str) -> int | float:
    plain = text.replace("_", "")
    try:
        return int(plain, 0)
    except ValueError:
        pass
    return int(plain, 8) if re.fullmatch(r"[+-]?0[0-7]+", plain) else float(plain)


def _field(value: Any, name: str) -> Any:
    def get(run: _Run) -> Any:
        found = value(run)
        if isinstance(found, dict):
            return found[name] if isinstance(found, Data) else found.get(name, ABSENT)
        if found is None or found is ABSENT:
            raise TemplateError(f"nil pointer evaluating .{name}")
        raise TemplateError(f"can't evaluate field {name}")

    return get


def _function(name: str, operands: list[Any]) -> Any:
    if name in ("and", "or"):
        return _lazy(name, operands)
    known = functions.lookup(name, len(operands))

    def call(run: _Run) -> Any:
        return known([operand(run) for operand in operands])

    return call


def _lazy(name: str, operands: list[Any]) -> Any:
    if not operands:
        raise ValueError(f"{name} needs at least one argument")
    stop = name == "or"

    def call(run: _Run) -> Any:
        found = None
        for operand in operands:
            found = operand(run)
            if truth(found) is stop:
                break
        return found

    return call
