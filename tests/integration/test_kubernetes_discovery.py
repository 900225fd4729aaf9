"""Discovery against a real API server: what comes and goes, crashes, lost history, tokens that end, and RBAC."""

from __future__ import annotations

import base64
import functools
import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.clock import SystemClock
from pipeline.config.sd.kubernetes import KubernetesSDConfig
from pipeline.discovery.kubernetes import KubernetesDiscovery, discoverer
from pipeline.discovery.kubernetes.access import find_access
from tests.support import kubernetes_objects as objects
from tests.support.discovering import Found, discovering, surroundings
from tests.support.pods import grant_rights_of_the_manifests

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.support.kubernetes_api import KubernetesApi

pytestmark = pytest.mark.kubernetes

ALL = {"node": True, "namespace": True, "deployment": True, "job": True, "cronjob": True}


def as_administrator(api: KubernetesApi, **settings: Any) -> AbstractAsyncContextManager[Found]:
    """Discovery by a kubeconfig file."""
    config = KubernetesSDConfig.model_validate({**settings, "kubeconfig_file": str(api.kubeconfig())})
    around = surroundings("kubernetes", clock=SystemClock())
    return discovering(discoverer(config, around), around)


def as_account(api: KubernetesApi, folder: Path, **settings: Any) -> AbstractAsyncContextManager[Found]:
    """Discovery as in a pod, with the service account that lies in the folder."""
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port)}
    around = surroundings("kubernetes", clock=SystemClock())
    find = functools.partial(find_access, account=folder, environ=environ)
    return discovering(KubernetesDiscovery(KubernetesSDConfig.model_validate(settings), around, find), around)


async def test_pods_services_and_slices_come_change_and_go(kubernetes_api: KubernetesApi) -> None:
    api = kubernetes_api
    async with as_administrator(api, role="endpointslice", namespaces={"names": ["shop"]}) as found:
        await found.until(lambda: found.published)
        assert found.groups == {}
        pod = objects.pod("cart-1", "shop", objects.container("app", 8080), ip="10.0.0.1", labels={"app": "cart"})
        one = {"addresses": ["10.0.0.1"], "targetRef": objects.pod_ref("cart-1"), "conditions": {"ready": False}}
        api.apply(objects.namespace("shop"), objects.service("cart", labels={"tier": "a"}), pod)
        api.apply(objects.endpoint_slice("cart-abc", "cart", [one], [{"name": "http", "port": 8080}]))
        await found.until(lambda: found.addresses == ["10.0.0.1:8080"])
        await found.until(lambda: "__meta_kubernetes_pod_label_app" in found.labels[0])
        assert found.labels[0]["__meta_kubernetes_service_label_tier"] == "a"

        # What a target leans on changes, and so does the target.
        api.patch("Service", "cart", {"metadata": {"labels": {"tier": "b"}}}, "shop")
        await found.until(lambda: found.labels[0]["__meta_kubernetes_service_label_tier"] == "b")
        api.patch("Pod", "cart-1", {"metadata": {"labels": {"app": None}}}, "shop")
        await found.until(lambda: "__meta_kubernetes_pod_label_app" not in found.labels[0])
        two = {**one, "addresses": ["10.0.0.2"], "targetRef": None}
        api.patch("EndpointSlice", "cart-abc", {"endpoints": [one, two]}, "shop")
        await found.until(lambda: found.addresses == ["10.0.0.1:8080", "10.0.0.2:8080"])

        api.delete("EndpointSlice", "cart-abc", "shop")
        await found.until(lambda: not found.groups)
    assert found.around.trouble.reasons == []


async def test_targets_outlive_a_crash_of_the_api_server_and_follow_what_happened_meanwhile(
    kubernetes_api: KubernetesApi,
) -> None:
    api = kubernetes_api
    api.apply(*(objects.pod(f"cart-{index}", ip=f"10.0.0.{index}") for index in range(1, 4)))
    async with as_administrator(api, role="pod") as found:
        await found.until(lambda: len(found.groups) == 3)
        untouched = found.groups["pod/shop/cart-3"]
        api.kill9()
        assert await found.failed() == f"{api.url}: connection refused"
        assert len(found.groups) == 3
        # While it is away a pod goes, and then all history: what was watched from is compacted.
        _delete_behind_its_back(api, "/registry/pods/shop/cart-1")
        api.start()
        await found.until(lambda: "pod/shop/cart-1" not in found.groups)
        api.apply(objects.pod("cart-4", ip="10.0.0.4"))
        await found.until(lambda: found.addresses == ["10.0.0.2:8080", "10.0.0.3:8080", "10.0.0.4:8080"])
        assert found.groups["pod/shop/cart-3"] is untouched, "what did not change is not told again"
        assert found.around.trouble.reasons == []


def _delete_behind_its_back(api: KubernetesApi, key: str) -> None:
    """Delete an object in etcd itself and forget everything before."""
    encoded = base64.b64encode(key.encode()).decode()
    status, answer = api.etcd.request("/v3/kv/deleterange", body=json.dumps({"key": encoded}).encode())
    assert status == 200, answer
    assert json.loads(answer)["deleted"] == "1", answer
    revision = int(json.loads(answer)["header"]["revision"])
    status, answer = api.etcd.request("/v3/kv/compaction", body=json.dumps({"revision": revision}).encode())
    assert status == 200, answer


async def test_a_token_that_is_not_valid_any_more_is_replaced_by_the_file(
    kubernetes_api: KubernetesApi, tmp_path: Path
) -> None:
    api = kubernetes_api
    grant_rights_of_the_manifests(api)
    api.apply(objects.pod("cart-1", ip="10.0.0.1"))
    folder = api.service_account_folder(tmp_path / "account", api.token("headrace-scraper", "headrace"), "headrace")
    async with as_account(api, folder, role="pod") as found:
        await found.until(lambda: found.addresses == ["10.0.0.1:8080"])
        # An account made anew: tokens of the old one are not valid any more; watches end with the server.
        api.delete("ServiceAccount", "headrace-scraper", "headrace")
        grant_rights_of_the_manifests(api)
        api.kill9()
        api.start()
        await found.until(lambda: any("401" in reason for reason in found.around.trouble.reasons))
        assert found.addresses == ["10.0.0.1:8080"]
        (folder / "token").write_text(api.token("headrace-scraper", "headrace"))
        await found.until(lambda: not found.around.trouble.reasons)
        api.apply(objects.pod("cart-2", ip="10.0.0.2"))
        await found.until(lambda: len(found.groups) == 2)


async def test_the_rights_of_the_scraper_are_enough_for_every_role_and_for_nothing_else(
    kubernetes_api: KubernetesApi, tmp_path: Path
) -> None:
    api = kubernetes_api
    grant_rights_of_the_manifests(api)
    api.apply(*objects.cluster())
    token = api.token("headrace-scraper", "headrace")
    folder = api.service_account_folder(tmp_path / "account", token, "shop")
    for role in ("node", "pod", "service", "endpoints", "endpointslice", "ingress"):
        async with as_account(api, folder, role=role, attach_metadata=ALL) as found:
            await found.until(lambda found=found: found.published)
            assert found.groups, role
            assert found.around.trouble.reasons == []
    async with as_account(api, folder, role="pod", namespaces={"own_namespace": True}) as found:
        await found.until(lambda: found.published)
        assert {group.labels["__meta_kubernetes_namespace"] for group in found.groups.values()} == {"shop"}

    # Nothing else: what else the API has, and any other verb.
    for resource in ("secrets", "configmaps", "serviceaccounts", "events"):
        assert not api.can(token, "list", f"/api/v1/{resource}"), resource
        assert not api.can(token, "list", f"/api/v1/namespaces/headrace/{resource}"), resource
    assert not api.can(token, "list", "/apis/apps/v1/deployments")
    assert not api.can(token, "list", "/apis/rbac.authorization.k8s.io/v1/clusterroles")
    assert not api.can(token, "get", "/api/v1/namespaces/shop/pods/cart-7d-x")
    assert not api.can(token, "get", "/api/v1/namespaces/shop/pods/cart-7d-x/log")
    assert not api.can(token, "create", "/api/v1/namespaces/shop/pods")
    assert not api.can(token, "delete", "/api/v1/namespaces/shop/pods/cart-7d-x")
    assert not api.can(token, "get", "/api/v1/nodes/node-1/proxy/metrics")


async def test_the_rights_of_the_tailer_are_enough_for_the_pods_of_its_node_and_for_nothing_else(
    kubernetes_api: KubernetesApi, tmp_path: Path
) -> None:
    api = kubernetes_api
    grant_rights_of_the_manifests(api)
    api.apply(*objects.cluster())
    token = api.token("headrace-tailer", "headrace")
    folder = api.service_account_folder(tmp_path / "account", token, "headrace")
    own_node = [{"role": "pod", "field": "spec.nodeName=node-1"}]
    async with as_account(api, folder, role="pod", selectors=own_node) as found:
        await found.until(lambda: found.published)
        assert {group.labels["__meta_kubernetes_pod_node_name"] for group in found.groups.values()} == {"node-1"}
        api.apply(objects.pod("late", node="node-2", ip="10.0.1.1"), objects.pod("later", node="node-1", ip="10.0.1.2"))
        await found.until(lambda: "pod/shop/later" in found.groups)
        assert "pod/shop/late" not in found.groups
    for resource in ("nodes", "services", "endpoints", "namespaces", "secrets"):
        assert not api.can(token, "list", f"/api/v1/{resource}"), resource
    assert not api.can(token, "list", "/apis/discovery.k8s.io/v1/endpointslices")


async def test_what_rbac_refuses_is_said_in_the_servers_words_and_the_rest_works(
    kubernetes_api: KubernetesApi, tmp_path: Path
) -> None:
    api = kubernetes_api
    grant_rights_of_the_manifests(api)
    api.apply(*objects.cluster())
    folder = api.service_account_folder(tmp_path / "account", api.token("headrace-tailer", "headrace"), "headrace")
    async with as_account(api, folder, role="service") as found:
        reason = await found.failed()
        assert reason.startswith("/api/v1/services: the API server answered 403")
        assert "cannot list resource" in reason
        assert found.published == 0
        api.patch("ClusterRole", "headrace-tailer", {"rules": _MORE_RIGHTS})
        await found.until(lambda: found.groups)
        assert found.around.trouble.reasons == []


_MORE_RIGHTS = [{"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]}]
