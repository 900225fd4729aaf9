"""A YAML file as plain mappings, lists and `Scalar` texts, with the line of every key path.

Strict like Go's decoder: no key twice, no unknown tag, one document. Anchors, aliases and merge keys (`<<`) work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from pipeline.config.units import Scalar
from topics.errors import Problem

Path = tuple[str | int, ...]
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_SCALAR_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "value")
)
_MERGE = "tag:yaml.org,2002:merge"
# An alias repeats what it names; nested ones multiply. No honest file comes near.
_MAX_NODES = 1_000_000


def path_text(path: Path) -> str:
    """The key path as people write it: ``scrape_configs[0].job_name``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "a").replace("-", "a").isalnum():
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


_UNCLOSED = ("something is opened and never closed", "look for the missing \", ', ] or }")
_BROKEN_FLOW = (
    "a list in [ ] or mapping in { } is broken",
    'separate by commas, close it, and quote "${NAME}" inside',
)
_SYNTAX: tuple[tuple[str, str, str], ...] = (
    ("<stream end>", *_UNCLOSED),
    (
        "expected <block end>",
        "the indentation does not fit the lines above",
        "align keys of one mapping, items of one list",
    ),
    (
        "mapping values are not allowed",
        'a ": " where none can be',
        "quote the text, or add the colon that the line above lacks",
    ),
    ("could not find expected ':'", 'a ":" is missing after a key', "write key: value; quote texts over several lines"),
    ("undefined alias", "an alias (*name) without its anchor (&name)", "quote the text if it begins with *"),
    ("cannot start any token", "a character that cannot begin a text", "indent by spaces, not tabs; quote the text"),
    ("end of stream", *_UNCLOSED),
    ("unknown escape", "an unknown \\ sequence in double quotes", "use single quotes: nothing is special in them"),
    ("expected ',' or", *_BROKEN_FLOW),
    ("expected the node content", *_BROKEN_FLOW),
    ("did not find expected", "the structure breaks off here", "look at the indentation and at unclosed quotes"),
)
_SYNTAX_OTHER = ("the text cannot be read", "quote texts that begin with or hold one of : # { [ * & ! % @")


@dataclass(slots=True)
class Tree:
    """One file, read. `data` is None for an empty file; `lines` count from 1."""

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of the longest part of `path` that the file has; 0 when it has none."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return self.lines.get((), 0)

    def problem(self, path: Path, message: str, remedy: str = "") -> Problem:
        """A problem at `path`."""
        return Problem(self.file, self.line(path), path_text(path), message, remedy)


def read_tree(text: str, file: str) -> Tree:
    """Parse one file. Never raises: what is wrong is in `problems`, and `data` holds what could be read."""
    tree = Tree(file)
    # Not the faster loader in C: nesting without end makes it crash the process.
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        tree.problems.append(_syntax(error, file))
        return tree
    except (yaml.YAMLError, RecursionError) as error:
        words = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        tree.problems.append(Problem(file, 0, "", f"not valid YAML: {words}", "save the file as UTF-8 text"))
        return tree
    if len(nodes) > 1:
        line = nodes[1].start_mark.line + 1
        tree.problems.append(
            Problem(file, line, "", "a second YAML document", "keep one document: remove the line ---")
        )
    if nodes:
        _Builder(tree).document(nodes[0])
    return tree


def _syntax(error: yaml.MarkedYAMLError, file: str) -> Problem:
    """A syntax error in words for people. The library's own words quote what it met, which may be a secret."""
    found = error.problem or ""
    words, remedy = next((said for part, *said in _SYNTAX if part in found), _SYNTAX_OTHER)
    # What was never closed is best looked for where it was opened.
    unclosed = "end of stream" in found or "<stream end>" in found
    mark = error.context_mark if unclosed else error.problem_mark
    mark = mark or error.problem_mark or error.context_mark
    return Problem(file, mark.line + 1 if mark else 0, "", f"not valid YAML: {words}", remedy)


class _Builder:
    """Turns nodes into data, writing down lines and problems."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._open: set[int] = set()
        self._nodes = 0

    def document(self, node: yaml.Node) -> None:
        self._tree.lines[()] = node.start_mark.line + 1
        self._tree.data = self._value(node, ())

    def _note(self, node: yaml.Node, path: Path, message: str, remedy: str) -> None:
        line = node.start_mark.line + 1
        self._tree.problems.append(Problem(self._tree.file, line, path_text(path), message, remedy))

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if id(node) in self._open or self._nodes > _MAX_NODES:
            if self._nodes <= _MAX_NODES + 1:
                self._note(node, path, "an alias that contains itself, or too many aliases", "write the values out")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node, path)
            if isinstance(node, yaml.ScalarNode):
                return self._scalar(node, path)
            return None
        finally:
            self._open.discard(id(node))

    def _tag(self, node: yaml.Node, path: Path, known: frozenset[str]) -> None:
        if node.tag not in known:
            standard = node.tag.startswith("tag:yaml.org,2002:")
            tag = f"!!{node.tag.rpartition(':')[2]}" if standard else "beginning with !"
            self._note(node, path, f"a YAML tag {tag}, which is not known here", "remove it, or quote the text")

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Scalar | None:
        self._tag(node, path, _SCALAR_TAGS)
        quoted = node.style is not None
        if not quoted and node.tag != "tag:yaml.org,2002:str" and node.value in _NULLS:
            return None
        return Scalar(node.value, quoted=quoted)

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> list[Any]:
        self._tag(node, path, frozenset({"tag:yaml.org,2002:seq"}))
        items = []
        for index, child in enumerate(node.value):
            where = (*path, index)
            self._tree.lines[where] = child.start_mark.line + 1
            items.append(self._value(child, where))
        return items

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self._tag(node, path, frozenset({"tag:yaml.org,2002:map"}))
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged = self._merged(value_node, path) | merged
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._note(key_node, path, "a key that is not a text", "write a plain word before the colon")
                continue
            key, line = str(key_node.value), key_node.start_mark.line + 1
            self._tag(key_node, (*path, key), _SCALAR_TAGS)
            if key in own:
                self._note(
                    key_node, (*path, key), f'key "{key}" is already set in line {first[key]}', "keep one of them"
                )
                continue
            self._tree.lines[(*path, key)] = first[key] = line
            own[key] = self._value(value_node, (*path, key))
        return merged | own

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in parts:
            value = self._value(part, path)
            if not isinstance(value, dict):
                self._note(part, path, "<< must name a mapping", "point it to an anchor of a mapping")
                continue
            merged = value | merged
        return merged
