"""Every key of a file against the sections: unknown ones with the nearest known, foreign ones by their class.

Runs before validation and takes the foreign keys out, so that validation sees known keys only.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.config.section import NOT_YET, Elsewhere, Section, Shape

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from pipeline.config.section import Foreign
    from pipeline.config.yaml_tree import Path, Tree


def key_of(name: str, field: FieldInfo) -> str:
    """The key in the file of a field."""
    return field.alias or name


def shape(field: FieldInfo) -> tuple[str, type[Section]] | None:
    """The section that a field holds, and how: ``one``, ``list`` or ``map`` of it; None for anything else."""
    return next(_shapes([field.annotation, *field.metadata], "one"), None)


def _shapes(annotations: list[Any], how: str) -> Iterator[tuple[str, type[Section]]]:
    for annotation in annotations:
        if isinstance(annotation, Shape):
            yield how, annotation.section
            continue
        if isinstance(annotation, type) and issubclass(annotation, Section):
            yield how, annotation
            continue
        origin, arguments = typing.get_origin(annotation), list(typing.get_args(annotation))
        if origin is tuple:
            yield from _shapes(arguments, "list")
        elif origin is dict:
            yield from _shapes(arguments[1:], "map")
        elif arguments:
            yield from _shapes(arguments, how)


def check_keys(section: type[Section], data: Any, tree: Tree, path: Path) -> Any:
    """`data` with known keys only; what is wrong goes to `tree.problems`, warnings to `tree.notes`."""
    if not isinstance(data, dict):
        return data
    fields = {key_of(name, field): field for name, field in section.model_fields.items()}
    kept: dict[str, Any] = {}
    for key, value in data.items():
        where = (*path, key)
        if key in fields:
            if value is None and key in section.BARE:
                kept[key] = None if shape(fields[key]) is None else {}
            elif value is not None:
                kept[key] = _nested(fields[key], value, tree, where)
        elif key in section.FOREIGN:
            _foreign(section.FOREIGN[key], key, value, tree, where)
        else:
            remedy = _home(key, section) or _nearest(key, [*fields, *section.FOREIGN])
            tree.problems.append(tree.problem(where, f'unknown key "{key}"', remedy))
    return kept


def _nested(field: FieldInfo, value: Any, tree: Tree, path: Path) -> Any:
    found = shape(field)
    if found is None:
        origin, arguments = typing.get_origin(field.annotation), typing.get_args(field.annotation)
        # Go leaves a text or a list empty where the file says nothing.
        if isinstance(value, dict) and origin is dict:
            nothing: Any = [] if typing.get_origin(arguments[1]) is tuple else ""
            return {key: nothing if item is None else item for key, item in value.items()}
        if isinstance(value, list) and origin is tuple:
            return ["" if item is None else item for item in value]
        return value
    how, section = found
    if how == "one":
        return check_keys(section, value, tree, path)
    if how == "list" and isinstance(value, list):
        return [check_keys(section, item, tree, (*path, index)) for index, item in enumerate(value)]
    if how == "map" and isinstance(value, dict):
        return {
            key: check_keys(section, {} if item is None else item, tree, (*path, key)) for key, item in value.items()
        }
    return value


def _foreign(foreign: Foreign, key: str, value: Any, tree: Tree, path: Path) -> None:
    empty = value is None or value in ([], {})
    if isinstance(foreign, Elsewhere):
        if not empty:
            tree.notes.append(tree.problem(path, foreign.why))
    elif not (empty and not foreign.presence) and value not in foreign.harmless:
        tree.problems.append(tree.problem(path, NOT_YET.format(owner=foreign.owner), foreign.remedy))


def _home(key: str, section: type[Section]) -> str:
    """Where in the sections inside `section` a key is known: it was not indented, or it comes from a Promtail file."""
    homes = []
    for name, field in section.model_fields.items():
        how, inner = shape(field) or ("", Section)
        known = {key_of(inside, one) for inside, one in inner.model_fields.items()} | set(inner.FOREIGN)
        if how in ("one", "list") and key in known:
            homes.append(key_of(name, field) + ("[]" if how == "list" else ""))
    if homes == ["logs"]:
        return "a key of logs: indent it to stand there; a Promtail file is given by --promtail.config-file"
    return f"a key of {' or '.join(homes)}: indent it to stand there" if homes else ""


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
    return f'did you mean "{close[0]}"?' if close else "remove it; docs/configuration.md lists every key"
