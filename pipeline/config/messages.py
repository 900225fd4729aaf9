"""What validation found, in words for people: no type names of Python, no values that may be secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.config.units import kind_of
from pipeline.config.yaml_tree import path_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError

    from pipeline.config.yaml_tree import Path, Tree
    from topics.errors import Problem

_EXPECTED = {
    "model_type": "a mapping", "dict_type": "a mapping", "mapping_type": "a mapping",
    "tuple_type": "a list", "list_type": "a list", "iterable_type": "a list",
}  # fmt: skip
_REMEDIES = {"a mapping": "write key: value pairs, indented below", "a list": "put a - before each item"}


def problems_of(error: ValidationError, tree: Tree) -> Iterator[Problem]:
    """One problem for each thing that validation found."""
    for one in error.errors(include_url=False):
        path: Path = tuple(one["loc"])
        kind, context = one["type"], one.get("ctx", {})
        if kind == "faults":
            for found in context["faults"]:
                if not (found.alone and _inside(path, tree)):
                    yield tree.problem((*path, *found.path), found.message, found.remedy)
        elif kind == "default_factory_not_called":
            continue  # a name derived from a url that is wrong itself
        elif kind == "missing":
            yield tree.problem(path, "this key is required", "add it")
        elif kind in _EXPECTED and one["input"] is None:
            yield tree.problem(path, "an empty item", "write its keys, or remove the line")
        elif kind in _EXPECTED:
            expected = _EXPECTED[kind]
            yield tree.problem(path, f"expected {expected}, found {kind_of(one['input'])}", _REMEDIES[expected])
        elif kind == "literal_error":
            yield tree.problem(
                path,
                f"{_shown(one['input'])} is not a value of this key",
                f"write one of {context['expected']}".replace("'", '"'),
            )
        else:
            yield tree.problem(path, one["msg"])


def _inside(path: Path, tree: Tree) -> bool:
    """Whether something inside `path` is known to be wrong already."""
    start = path_text(path)
    return any(problem.path.startswith((f"{start}.", f"{start}[")) for problem in tree.problems)


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else kind_of(value)
