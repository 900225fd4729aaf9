"""The manifests, shown to a real API server: strictly, and without anything being kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.kustomize import render

if TYPE_CHECKING:
    from tests.support.kubernetes_api import KubernetesApi

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / "k8s/base", ROOT / "k8s/overlays/istio", ROOT / "k8s/overlays/production"]


class Examiner:
    """Asks what the server would say of an object; namespaces are really made, for objects stand in them."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._resources: dict[str, dict[str, Any]] = {}

    def refusal(self, document: dict[str, Any]) -> str:
        """Empty when the server would take it, else its words."""
        version, kind = document["apiVersion"], document["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if root not in self._resources:
            found = self._api.call("GET", root)["resources"]
            self._resources[root] = {one["kind"]: one for one in found if "/" not in one["name"]}
        resource = self._resources[root].get(kind)
        if resource is None:
            return f"{kind} of {version}: no such object"
        space = f"/namespaces/{document['metadata'].get('namespace', 'default')}" if resource["namespaced"] else ""
        if kind == "Namespace":
            self._api.apply(document)
            return ""
        try:
            path = f"{root}{space}/{resource['name']}?dryRun=All&fieldValidation=Strict"
            self._api.call("POST", path, document)
        except AssertionError as error:
            return str(json.loads(str(error).split(" ", 3)[3])["message"])
        return ""


@pytest.fixture
def examiner(kubernetes_api: KubernetesApi) -> Examiner:
    return Examiner(kubernetes_api)


def test_every_object_is_what_the_kubernetes_api_takes(examiner: Examiner) -> None:
    for folder in FOLDERS:
        documents = sorted(render(folder), key=lambda one: one["kind"] != "Namespace")
        assert len(documents) > 5
        found = {f"{one['kind']}/{one['metadata']['name']}": examiner.refusal(one) for one in documents}
        assert {name: why for name, why in found.items() if why} == {}, folder.name


def test_the_server_refuses_what_is_no_manifest(examiner: Examiner) -> None:
    container = {"name": "c", "image": "i", "resources": {"requests": {"memory": "much"}}}
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": pod}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}
    assert "much" in examiner.refusal(deployment) or "quantities" in examiner.refusal(deployment)
    container["resources"] = {}
    assert examiner.refusal(deployment) == ""
    assert 'unknown field "spec.replica"' in examiner.refusal(deployment | {"spec": spec | {"replica": 1}})
    assert "selector" in examiner.refusal(deployment | {"spec": {"template": pod}})
    assert examiner.refusal(deployment | {"kind": "Deploymint"}) == "Deploymint of apps/v1: no such object"
