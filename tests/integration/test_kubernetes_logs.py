"""Pod logs found through a real API server: the pods of the tailer's own node, with the rules that users have."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support import kubernetes_objects as objects
from tests.support.kustomize import render
from tests.support.pods import BASE, grant_rights_of_the_manifests, program_in_pod
from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.backends import Loki
    from tests.support.kafka import KafkaPeer
    from tests.support.kubernetes_api import KubernetesApi

pytestmark = [pytest.mark.kafka, pytest.mark.kubernetes, pytest.mark.loki, pytest.mark.slow]

# A vendor's rules for the access logs of a mesh, in YAML.
RULES = """
- source_labels: [__meta_kubernetes_namespace]
  target_label: namespace
- source_labels: [__meta_kubernetes_pod_name]
  target_label: pod
- source_labels: [__meta_kubernetes_pod_container_name]
  target_label: container
- replacement: integrations/istio
  target_label: job
- source_labels: [__meta_kubernetes_pod_uid, __meta_kubernetes_pod_container_name]
  separator: /
  target_label: __path__
  replacement: /var/log/pods/*$1/*.log
"""
NODE = "node-1"


class Node:
    """A node with its log files, and headrace's tailer on it."""

    def __init__(self, api: KubernetesApi, folder: Path) -> None:
        self._api = api
        self.logs = folder / "pods"
        self.logs.mkdir()

    def pod(self, name: str, *lines: str, node: str = NODE, namespace: str = "shop") -> None:
        """A pod on a node, and a log file of its container `app` on this one."""
        self._api.apply(objects.pod(name, namespace, objects.container("app", 8080, 9090), node=node))
        made = self._api.call("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")
        folder = self.logs / f"{namespace}_{name}_{made['metadata']['uid']}" / "app"
        folder.mkdir(parents=True)
        text = "".join(f"2026-01-01T00:00:00.{number:09d}Z stdout F {line}\n" for number, line in enumerate(lines))
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        (folder / "0.log").write_text(text.replace("2026-01-01T00:00:00", now))


@pytest.fixture
def node(kubernetes_api: KubernetesApi, tmp_path: Path) -> Node:
    return Node(kubernetes_api, tmp_path)


def run(api: KubernetesApi, node: Node, folder: Path, loki: Loki, promtail: dict[str, Any], *flags: str) -> Headrace:
    """`headrace run` in the tailer's pod."""
    grant_rights_of_the_manifests(api)
    account = api.service_account_folder(folder / "account", api.token("headrace-tailer", "headrace"), "headrace")
    promtail = {**promtail, "clients": [{"name": "loki", "url": loki.push_url}]}
    (folder / "promtail.yml").write_text(json.dumps(promtail))
    (folder / "headrace.yml").write_text("topics: {partitions: 4}\n")
    environ = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(api.port),
        "HOSTNAME": NODE,
        "NODE_NAME": NODE,
    }
    return Headrace(
        "run",
        f"--config.file={folder / 'headrace.yml'}",
        f"--promtail.config-file={folder / 'promtail.yml'}",
        f"--storage.path={folder / 'storage'}",
        *flags,
        argv=program_in_pod(folder, account, node.logs),
        env=environ,
    )


def lines(loki: Loki, selector: str) -> dict[str, list[str]]:
    """The lines of each pod."""
    found: dict[str, list[str]] = {}
    for stream in loki.query_range(selector):
        found.setdefault(stream["stream"]["pod"], []).extend(line for _, line in stream["values"])
    return {pod: sorted(every) for pod, every in found.items()}


@pytest.mark.parametrize(
    "selectors", [[], [{"role": "pod", "field": "spec.nodeName=${NODE_NAME}"}]], ids=["by itself", "by a selector"]
)
def test_a_vendors_rules_find_the_logs_of_the_pods_of_this_node(
    selectors: list[Any],
    kubernetes_api: KubernetesApi,
    node: Node,
    loki: Loki,
    kafka: KafkaPeer,
    kafka_prefix: str,
    tmp_path: Path,
) -> None:
    job = {
        "job_name": "istio",
        "pipeline_stages": [{"cri": {}}],
        "kubernetes_sd_configs": [{"role": "pod", "selectors": selectors}],
        "relabel_configs": yaml.safe_load(RULES),
    }
    node.pod("cart-1", "one", "two")
    node.pod("far-1", "never", node="node-2")
    flags = (f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={kafka_prefix}")
    with run(kubernetes_api, node, tmp_path, loki, {"scrape_configs": [job]}, *flags) as running:
        running.wait_ready()
        selector = '{job="integrations/istio"}'
        wait_for("the first pod", lambda: lines(loki, selector) == {"cart-1": ["one", "two"]})
        node.pod("late-1", "three")
        wait_for("a late pod", lambda: lines(loki, selector) == {"cart-1": ["one", "two"], "late-1": ["three"]})
        (stream, *_) = [one["stream"] for one in loki.query_range('{pod="late-1"}')]
        assert (stream["namespace"], stream["container"]) == ("shop", "app")


def test_the_manifests_read_every_pod_of_the_node_but_headraces_own(
    kubernetes_api: KubernetesApi, node: Node, loki: Loki, kafka: KafkaPeer, kafka_prefix: str, tmp_path: Path
) -> None:
    (config,) = [one["data"] for one in render(BASE) if one["kind"] == "ConfigMap" and "promtail.yml" in one["data"]]
    promtail = yaml.safe_load(config["promtail.yml"])
    node.pod("cart-1", "one")
    node.pod("tailer-1", "own", namespace="headrace")
    node.pod("far-1", "never", node="node-2")
    flags = (f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={kafka_prefix}")
    with run(kubernetes_api, node, tmp_path, loki, promtail, *flags) as running:
        running.wait_ready()
        wait_for("the pod", lambda: lines(loki, '{job="pods"}') == {"cart-1": ["one"]})
