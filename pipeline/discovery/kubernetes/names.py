"""Label names of what Kubernetes says about an object: `__meta_kubernetes_<role>_label_<name>` and so on.

Rules: prometheus/discovery/kubernetes, `addObjectMetaLabels`. Names are shared: ten thousand pods with the same labels
hold each name once.
"""

from __future__ import annotations

import re
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX = "__meta_kubernetes_"
ADDRESS = "__address__"
NAMESPACE = "__meta_kubernetes_namespace"

_PRESENT = "true"
_INVALID = re.compile(r"[^a-zA-Z0-9_]")
_MANY_NAMES = 32_768  # of label and annotation keys in use at the same time


def sanitized(name: str) -> str:
    """`name` with everything but letters, digits and underscores replaced by underscores."""
    return _INVALID.sub("_", name)


@lru_cache(_MANY_NAMES)
def meta(suffix: str) -> str:
    """The meta label of that name: always the same object, however many targets have it."""
    return intern(f"{PREFIX}{suffix}")


def text(value: Any) -> str:
    """A text of the API; empty where it is absent. Equal texts are held once: most values of a cluster repeat."""
    return intern(value) if type(value) is str else "" if value is None else str(value)


def truth(value: bool) -> str:
    """As Go writes it."""
    return "true" if value else "false"


def join_host_port(host: str, port: int | str) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host or "%" in host else f"{host}:{port}"


def object_labels(role: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    """The name, labels and annotations of an object, as labels of targets."""
    return {meta(f"{role}_name"): text(metadata.get("name")), **label_labels(role, metadata)}


def label_labels(role: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    """The labels and annotations of an object, each with a label that says that it is there."""
    found: dict[str, str] = {}
    for what, pairs in (("label", metadata.get("labels")), ("annotation", metadata.get("annotations"))):
        for key, value in (pairs or {}).items():
            name, present = _names(role, what, key)
            found[name] = text(value)
            found[present] = _PRESENT
    return found


@lru_cache(_MANY_NAMES)
def _names(role: str, what: str, key: str) -> tuple[str, str]:
    clean = sanitized(key)
    return intern(f"{PREFIX}{role}_{what}_{clean}"), intern(f"{PREFIX}{role}_{what}present_{clean}")


def controller(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and name of the owner that controls an object; two empty texts when there is none."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return text(owner.get("kind")), text(owner.get("name"))
    return "", ""


def key_of(namespace: str, name: str) -> str:
    """What an object is known by within its kind: ``namespace/name``, or its name alone."""
    return f"{namespace}/{name}" if namespace else name


def of_kind(kind: str, owner: tuple[str, str]) -> Iterable[str]:
    """The name of an owner of that kind, if it is one."""
    return (owner[1],) if owner[0] == kind else ()
