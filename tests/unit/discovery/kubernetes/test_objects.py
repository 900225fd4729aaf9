"""What is kept of an object: little, and nothing twice."""

from __future__ import annotations

import tracemalloc

import orjson

from pipeline.config.sd.kubernetes import KubernetesAttachMetadata
from pipeline.discovery.kubernetes.objects import Node, Pod
from pipeline.discovery.kubernetes.pod import PodRole
from tests.support import kubernetes_objects as objects
from tests.support.mesh_pods import mesh_pod

PODS = 500
MOST_BYTES_A_POD = 6000


def test_a_pod_costs_a_few_kilobytes_whatever_its_json_is():
    texts = [orjson.dumps(mesh_pod(number)) for number in range(PODS)]
    kept = [Pod.of(orjson.loads(texts[0]))]  # names of labels are there from now on
    assert min(map(len, texts)) > 8000
    # Python's table of shared texts doubles now and then, for all that use it: not in both measurements.
    assert min(_bytes_of(texts, kept), _bytes_of(texts, kept)) / PODS < MOST_BYTES_A_POD


def _bytes_of(texts: list[bytes], kept: list[Pod]) -> int:
    """The memory that the pods of these texts and their groups take."""
    role = PodRole(KubernetesAttachMetadata())
    tracemalloc.start()
    try:
        pods = kept + [Pod.of(orjson.loads(text)) for text in texts]
        groups = [role.group(pod, {}) for pod in pods]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(groups) == len(texts) + 1
    return size


def test_the_labels_of_a_pod_are_those_of_its_group_and_held_once():
    pod = Pod.of(mesh_pod(1))
    assert PodRole(KubernetesAttachMetadata()).group(pod, {}).labels is pod.labels


def test_names_and_values_that_pods_share_are_held_once():
    one, two = (Pod.of(orjson.loads(orjson.dumps(mesh_pod(number)))) for number in (1, 201))
    pairs = zip(sorted(one.labels.items()), sorted(two.labels.items()), strict=True)
    for (name, value), (other_name, other_value) in pairs:
        assert name is other_name
        assert value is other_value or value != other_value


def test_a_heartbeat_of_a_node_is_no_change():
    node = objects.node("n", [("InternalIP", "10.0.0.1")])
    later = {**node, "status": {**node["status"], "conditions": [dict(one) for one in node["status"]["conditions"]]}}
    for condition in later["status"]["conditions"]:
        condition["lastHeartbeatTime"] = "2026-01-01T00:00:00Z"
    assert Node.of(later) == Node.of(node)
    later["status"]["conditions"][0]["status"] = "False"
    assert Node.of(later) != Node.of(node)
