"""Promtail's positions file: `positions:` and under it one `path: "offset"` a file."""

from __future__ import annotations

import yaml


def parse(content: bytes) -> dict[str, int]:
    """Offsets in bytes by path; what is no path (a journal's cursor) is left out. Raises ValueError: what is wrong."""
    try:
        whole = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(whole, dict) or "positions" not in whole:
        raise ValueError("it has no `positions`, which Promtail's has")
    rows = whole["positions"] or {}
    if not isinstance(rows, dict):
        raise ValueError("its `positions` are no mapping of paths to offsets")  # noqa: TRY004  as all that is wrong
    found: dict[str, int] = {}
    for path, offset in rows.items():
        if not isinstance(path, str) or not path.startswith("/"):
            continue
        if isinstance(offset, bool) or not str(offset).isdigit():
            raise ValueError(f"the offset of {path} is no number: {offset!r}")
        found[path] = int(offset)
    return found
