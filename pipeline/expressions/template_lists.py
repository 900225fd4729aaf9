"""Lists and maps in templates, choices among values, and JSON."""

from __future__ import annotations

import json
from typing import Any

from pipeline.expressions import template_values as kinds


def strings(values: Any) -> list[str]:
    """sprig's `toStrings`."""
    if isinstance(values, list | tuple):
        return [kinds.printed(value) for value in values if value is not None]
    return [] if values is None else [kinds.printed(values)]


def index(value: Any, *keys: Any) -> Any:
    """Go's `index`, into maps, lists and texts."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")
        elif isinstance(value, str):
            value = value.encode()[kinds.whole(key)]
        else:
            if not 0 <= kinds.whole(key) < len(value):
                raise IndexError(f"index out of range: {key}")
            value = value[key]
    return value


def sliced(values: Any, *bounds: Any) -> Any:
    """sprig's: of lists only; it stands in the place of Go's own."""
    if not isinstance(values, list):
        raise TypeError("list should be type of slice or array")
    first = kinds.whole(bounds[0]) if bounds else 0
    end = kinds.whole(bounds[1]) if len(bounds) > 1 else len(values)
    if not 0 <= first <= end <= len(values):
        raise IndexError("slice index out of range")
    return values[first:end]


def mapping_of(*pairs: Any) -> dict[str, Any]:
    """sprig's `dict`: names and values in turn."""
    values = (*pairs[1::2], *([""] if len(pairs) % 2 else []))
    return {kinds.printed(name): value for name, value in zip(pairs[::2], values, strict=True)}


def uniq(values: Any) -> list[Any]:
    """sprig's `uniq`."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def empty(value: Any) -> bool:
    """sprig's `empty`."""
    return not kinds.truth(kinds.anything(value))


def default(fallback: Any, *given: Any) -> Any:
    """sprig's `default`."""
    return fallback if not given or empty(given[0]) else given[0]


def ternary(yes: Any, no: Any, which: Any) -> Any:
    """sprig's `ternary`."""
    if not isinstance(which, bool):
        raise TypeError("expected true or false")
    return yes if which else no


def from_json(text: str) -> Any:
    """sprig's `fromJson`: null for what is no JSON."""
    try:
        return json.loads(text, parse_int=float)
    except ValueError:
        return None


def to_json(value: Any) -> str:
    """sprig's `toJson`."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
