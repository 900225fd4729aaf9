"""Kubernetes objects against the API's own types, strictly: no unknown field, nothing required missing, types that fit.

The types are the models of the `kubernetes` client, generated from the API's OpenAPI description. The server itself
would say the same (`fieldValidation=Strict`); this needs none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes.client import models
from pydantic import BaseModel, ValidationError

_GROUPS = ("v1", "apps/v1", "policy/v1", "batch/v1", "rbac.authorization.k8s.io/v1")
_QUANTITY = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")


def problems(document: dict[str, Any]) -> list[str]:
    """Everything wrong with one object, each with its path; empty when the API server would take it."""
    version, kind = document.get("apiVersion"), document.get("kind", "")
    model = getattr(models, f"V1{kind}", None)
    if version not in _GROUPS or model is None:
        return [f"{kind} of {version}: no such object"]
    assert issubclass(model, BaseModel), "kubernetes 37 or newer is wanted: its models check what they are given"
    try:
        model.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        found = [f"{kind}.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    else:
        found = []
    return [*found, *_quantities(document, kind)]


def _quantities(value: Any, path: str) -> Iterator[str]:
    """The API's models know quantities as text only."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _quantities(inner, f"{path}.{index}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in ("requests", "limits"):
                yield from (
                    f"{path}.{key}.{name}: no quantity" for name, one in inner.items() if not _QUANTITY.fullmatch(one)
                )
            elif key == "sizeLimit" and not _QUANTITY.fullmatch(inner):
                yield f"{path}.{key}: no quantity"
            else:
                yield from _quantities(inner, f"{path}.{key}")
