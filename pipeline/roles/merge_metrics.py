"""Many metrics pages → one, every sample labelled with where it comes from. Pure text work on Prometheus text 0.0.4."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SUFFIXES = ("_bucket", "_sum", "_count", "_total")
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?(?P<rest> .*)")
_LABEL = re.compile(r'(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"')


def merge(pages: Iterable[tuple[Mapping[str, str], str]]) -> str:
    """`pages`: (labels to add, text). A label that a sample bears already stays as it is.

    The samples of one family stand together, as the format demands; HELP and TYPE come from the page that had them
    first. Lines that are not of the format are left out.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for labels, text in pages:
        added = {name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in labels.items()}
        seen: set[str] = set()  # families whose head this very page brings
        for line in text.splitlines():
            if line.startswith("# "):
                word, _, rest = line[2:].partition(" ")
                family = rest.partition(" ")[0]
                if word not in ("HELP", "TYPE") or not family:
                    continue
                if family not in heads or family in seen:
                    heads.setdefault(family, []).append(line)
                    seen.add(family)
            elif (match := _SAMPLE.fullmatch(line)) is not None:
                family = _family(match["name"], heads)
                samples.setdefault(family, []).append(_labelled(match, added))
    lines: list[str] = []
    for family, members in samples.items():
        lines += heads.get(family, [])
        lines += members
    return "\n".join(lines) + "\n" if lines else ""


def _family(name: str, heads: Mapping[str, list[str]]) -> str:
    if name in heads:
        return name
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and name.removesuffix(suffix) in heads:
            return name.removesuffix(suffix)
    return name


def _labelled(match: re.Match[str], added: Mapping[str, str]) -> str:
    own = match["labels"] or ""
    names = {label["name"] for label in _LABEL.finditer(own)}
    labels = [f'{name}="{value}"' for name, value in added.items() if name not in names]
    if own:
        labels.append(own.removesuffix(","))
    inside = "{" + ",".join(labels) + "}" if labels else ""
    return f"{match['name']}{inside}{match['rest']}"
