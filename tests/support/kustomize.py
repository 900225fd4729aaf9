"""As much of kustomize as our manifests use: resources, components, generated ConfigMaps, patches, replicas. No hashes.

`tests/integration/test_manifests.py` compares the result with the real one where there is a kubectl.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
_KEYS = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "components",
    "configMapGenerator",
    "images",
    "labels",
    "replicas",
    "patches",
}


def render(folder: Path) -> list[Document]:
    """The objects of a kustomization."""
    text = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(text) <= _KEYS, f"{folder}: {set(text) - _KEYS} is not understood here"
    documents: list[Document] = []
    for name in text["resources"]:
        path = folder / name
        documents += render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for generator in text.get("configMapGenerator", ()):
        _generate(documents, folder, generator)
    for name in text.get("components", ()):
        component = yaml.safe_load((folder / name / "kustomization.yaml").read_text())
        assert set(component) == {"apiVersion", "kind", "configMapGenerator"}, name
        for generator in component["configMapGenerator"]:
            _generate(documents, folder / name, generator)
    for patch in text.get("patches", ()):
        _patch(documents, yaml.safe_load((folder / patch["path"]).read_text()), patch.get("target"))
    for replicas in text.get("replicas", ()):
        (found,) = [one for one in documents if "replicas" in one.get("spec", {}) and _name(one) == replicas["name"]]
        found["spec"]["replicas"] = replicas["count"]
    for document in documents:
        if document["kind"] not in ("Namespace", "ClusterRole", "ClusterRoleBinding"):
            document["metadata"]["namespace"] = text["namespace"]
    return documents


def workloads(documents: list[Document]) -> list[Document]:
    """Those that have pods."""
    return [one for one in documents if one["kind"] in ("Deployment", "DaemonSet")]


def _name(document: Document) -> str:
    return document["metadata"]["name"]


def _generate(documents: list[Document], folder: Path, generator: Document) -> None:
    data = {Path(name).name: (folder / name).read_text() for name in generator["files"]}
    made: Document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}
    before = [one for one in documents if one["kind"] == "ConfigMap" and _name(one) == generator["name"]]
    behavior = generator.get("behavior", "create")
    assert bool(before) == (behavior != "create"), generator
    for one in before:
        documents.remove(one)
        if behavior == "merge":
            made["data"] = one["data"] | data
    documents.append(made)


def _patch(documents: list[Document], patch: Any, target: Document | None) -> None:
    if isinstance(patch, list):
        assert target is not None
        key, _, value = target["labelSelector"].partition("=")
        found = [one for one in workloads(documents) if one["metadata"]["labels"].get(key) == value]
        assert found, target
        for one in found:
            for step in patch:
                _add(one, step)
        return
    (found,) = [one for one in documents if one["kind"] == patch["kind"] and _name(one) == _name(patch)]
    merged = _merged(found, patch)
    found.clear()
    found.update(merged)


def _add(document: Document, step: Document) -> None:
    assert step["op"] == "add"
    assert step["path"].endswith("/-")
    place: Any = document
    for part in step["path"].split("/")[1:-1]:
        place = place[int(part) if part.isdigit() else part]
    place.append(copy.deepcopy(step["value"]))


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old[key], value) if key in old else value for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list):
        by_name = {one["name"]: one for one in old}
        assert all("name" in one for one in new), "lists are merged by name here"
        fresh = {one["name"]: _merged(by_name.get(one["name"], {}), one) for one in new}
        return [*fresh.values(), *(one for name, one in by_name.items() if name not in fresh)]
    return new
