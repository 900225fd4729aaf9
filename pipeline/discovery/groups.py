"""Target groups as people and programs write them down: the one form of files and of HTTP endpoints.

A list of ``{"targets": ["host:port", …], "labels": {name: value}}``, nothing else in it (Prometheus's rule).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")


def groups_of(data: Any, where: str, *, source: str, more: dict[str, str]) -> Iterator[TargetGroup]:
    """The groups of a parsed document. `where` begins what is said of mistakes; `more` are labels of every group;
    the sources are `source` with the index behind. Raises DiscoveryFailed.
    """
    if data is None:
        return
    if not isinstance(data, list):
        raise DiscoveryFailed(f"{where}: expected a list of target groups")
    for index, group in enumerate(data):
        place = f"{where}: group {index}"
        if not isinstance(group, dict) or set(group) - {"targets", "labels"}:
            raise DiscoveryFailed(f"{place}: expected a mapping with targets and labels, and nothing else")
        targets, labels = group.get("targets") or [], group.get("labels") or {}
        if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
            raise DiscoveryFailed(f"{place}: targets must be a list of texts")
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise DiscoveryFailed(f"{place}: labels must map names to texts")
        if "" in labels:
            raise DiscoveryFailed(f"{place}: a label has no name")
        yield TargetGroup(
            source=f"{source}:{index}",
            targets=tuple({"__address__": str(target)} for target in targets),
            labels={**{str(name): str(value) for name, value in labels.items()}, **more},
        )


def host_port(host: str, port: int | str) -> str:
    """An address to dial; IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def label_name(text: str) -> str:
    """Any text as the end of a label's name (Prometheus's SanitizeLabelName)."""
    return _NOT_IN_NAMES.sub("_", text)
