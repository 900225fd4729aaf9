"""Objects of a real API server, and the targets that Prometheus 3 found there: every role makes the same of them.

Recorded from kube-apiserver 1.34 and Prometheus 3.15, as tests/integration/test_kubernetes_like_prometheus.py compares
them live: `objects` are the API's lists, `found` the discovered labels of each job.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.sd.kubernetes import KubernetesSDConfig
from pipeline.discovery.kubernetes import resources
from pipeline.discovery.kubernetes.resources import Resource
from pipeline.discovery.kubernetes.watching import ROLES

RECORDED = json.loads((Path(__file__).parents[1] / "data/kubernetes/cluster.json").read_text())
ALL = {one.name: one for one in vars(resources).values() if isinstance(one, Resource)}

Labels = frozenset[tuple[str, str]]


def known() -> dict[str, dict[str, Any]]:
    """What is kept of every object, by resource and key."""
    return {
        name: {kept.key: kept for kept in (ALL[name].kind.of(one) for one in objects)}
        for name, objects in RECORDED["objects"].items()
    }


def targets(settings: dict[str, Any]) -> set[Labels]:
    """Of all objects of the role, as Prometheus shows them: without empty labels."""
    config = KubernetesSDConfig.model_validate(settings)
    role = ROLES[config.role](config.attach_metadata)
    objects = known()
    groups = [role.group(one, objects) for one in objects[role.RESOURCE.name].values()]
    return {
        frozenset((name, value) for name, value in {**group.labels, **target}.items() if value)
        for group in groups
        for target in group.targets
    }


@pytest.mark.parametrize("job", RECORDED["found"])
def test_a_role_makes_the_targets_that_prometheus_makes(job: str) -> None:
    recorded = RECORDED["found"][job]
    expected = {frozenset(labels.items()) for labels in recorded["targets"]}
    assert expected
    assert targets(recorded["settings"]) == expected


def test_the_recording_has_something_of_everything_that_there_is_a_label_for() -> None:
    """Each label that Prometheus's documentation lists for a role is in it, but for those of old clusters."""
    seen = {name for found in RECORDED["found"].values() for labels in found["targets"] for name in labels}
    for name in DOCUMENTED:
        assert f"__meta_kubernetes_{name}" in seen, name


DOCUMENTED = (
    *("namespace", "namespace_label_team", "namespace_labelpresent_team", "namespace_annotation_contact"),
    *("node_name", "node_provider_id", "node_label_topology_kubernetes_io_zone", "node_annotation_node_alpha"),
    *("node_address_InternalIP", "node_address_ExternalIP", "node_address_Hostname", "node_condition_ready"),
    *("service_name", "service_label_app", "service_annotation_prometheus_io_port", "service_cluster_ip"),
    *("service_loadbalancer_ip", "service_external_name", "service_port_name", "service_port_number"),
    *("service_port_protocol", "service_type"),
    *("pod_name", "pod_ip", "pod_label_app", "pod_annotation_prometheus_io_scrape", "pod_container_init"),
    *("pod_container_name", "pod_container_id", "pod_container_image", "pod_container_port_name"),
    *("pod_container_port_number", "pod_container_port_protocol", "pod_ready", "pod_phase", "pod_node_name"),
    *("pod_host_ip", "pod_uid", "pod_controller_kind", "pod_controller_name", "pod_deployment_name"),
    *("pod_job_name", "pod_cronjob_name"),
    *("endpoints_name", "endpoints_label_endpoints_label", "endpoints_annotation_endpoints_note"),
    *("endpoint_hostname", "endpoint_node_name", "endpoint_ready", "endpoint_port_name", "endpoint_port_protocol"),
    *("endpoint_address_target_kind", "endpoint_address_target_name"),
    *("endpointslice_name", "endpointslice_label_extra", "endpointslice_address_target_kind"),
    *("endpointslice_address_target_name", "endpointslice_address_type", "endpointslice_port"),
    *("endpointslice_endpoint_conditions_ready", "endpointslice_endpoint_conditions_serving"),
    *("endpointslice_endpoint_conditions_terminating", "endpointslice_endpoint_hostname"),
    *("endpointslice_endpoint_node_name", "endpointslice_endpoint_zone", "endpointslice_port_name"),
    *("endpointslice_port_protocol", "endpointslice_port_app_protocol"),
    *("ingress_name", "ingress_label_front", "ingress_annotation_nginx_rewrite", "ingress_class_name"),
    *("ingress_scheme", "ingress_host", "ingress_path"),
)
