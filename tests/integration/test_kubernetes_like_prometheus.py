"""The same API server, watched by a real Prometheus 3 and by headrace: the same targets, label for label."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.clock import SystemClock
from pipeline.config.sd.kubernetes import KubernetesSDConfig
from pipeline.discovery.kubernetes import discoverer
from tests.support import kubernetes_objects as objects
from tests.support.backends import Prometheus
from tests.support.discovering import goodbyes, surroundings
from tests.support.process import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.discovery.target_group import TargetGroup
    from tests.support.kubernetes_api import KubernetesApi

pytestmark = [pytest.mark.kubernetes, pytest.mark.prometheus3]

Labels = frozenset[tuple[str, str]]

OF_THE_JOB = {
    "job",
    "__scheme__",
    "__metrics_path__",
    "__scrape_interval__",
    "__scrape_timeout__",
    "__scrape_native_histograms__",
    "__always_scrape_classic_histograms__",
    "__convert_classic_histograms_to_nhcb__",
}
"""Labels that no discovery makes."""

ALL = {"node": True, "namespace": True, "deployment": True, "job": True, "cronjob": True}
JOBS: dict[str, dict[str, Any]] = {
    **{role: {"role": role} for role in ("node", "pod", "service", "endpoints", "endpointslice", "ingress")},
    **{f"{role}-all": {"role": role, "attach_metadata": ALL} for role in ("pod", "endpoints", "endpointslice")},
    **{
        f"{role}-namespace": {"role": role, "attach_metadata": {"namespace": True}}
        for role in ("service", "ingress", "node")
    },
    "pod-owners": {"role": "pod", "attach_metadata": {"deployment": True, "job": True, "cronjob": True}},
    "pod-one-namespace": {"role": "pod", "namespaces": {"names": ["empty"]}},
    "slices-two-namespaces": {"role": "endpointslice", "namespaces": {"names": ["empty", "shop", "none"]}},
    "pod-labels": {"role": "pod", "selectors": [{"role": "pod", "label": "app=cart,tier-1 in (a, b)"}]},
    "pod-fields": {"role": "pod", "selectors": [{"role": "pod", "field": "spec.nodeName=node-1"}]},
    "pod-nodes": {
        "role": "pod",
        "attach_metadata": {"node": True},
        "selectors": [{"role": "node", "label": "kubernetes.io/hostname=n1"}],
    },
    "slices-of-services": {
        "role": "endpointslice",
        "selectors": [
            {"role": "service", "label": "app=cart"},
            {"role": "pod", "field": "metadata.name=cart-7d-y"},
            {"role": "endpointslice", "label": "extra=label"},
        ],
    },
}


class Watching(Prometheus):
    """Prometheus with jobs that discover and drop everything: nothing is scraped, all labels can be read."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        super().__init__(program)
        self._jobs = [
            {
                "job_name": name,
                "kubernetes_sd_configs": [{**settings, "kubeconfig_file": str(kubeconfig)}],
                "relabel_configs": [{"action": "drop", "regex": ".*", "source_labels": []}],
            }
            for name, settings in JOBS.items()
        ]

    def prepare(self) -> None:
        """All jobs."""
        (self.folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": self._jobs}))

    def discovered(self) -> dict[str, set[Labels]]:
        """The label sets of each job, before relabelling."""
        found: dict[str, set[Labels]] = {name: set() for name in JOBS}
        for target in self.get_json("/api/v1/targets", state="dropped")["data"]["droppedTargets"]:
            labels = target["discoveredLabels"].items()
            found[target["scrapePool"]].add(frozenset(pair for pair in labels if pair[0] not in OF_THE_JOB))
        return found


async def discover(settings: dict[str, Any], kubeconfig: Path, groups: dict[str, TargetGroup]) -> None:
    """Keep `groups` as one discoverer says, until cancelled."""
    config = KubernetesSDConfig.model_validate({**settings, "kubeconfig_file": str(kubeconfig)})

    def publish(changed: Any) -> None:
        groups.update({group.source: group for group in changed})

    await discoverer(config, surroundings("kubernetes", clock=SystemClock())).run(publish)


def labels_of(groups: dict[str, TargetGroup]) -> set[Labels]:
    """As Prometheus shows them: a target's own labels win over its group's, empty ones are none."""
    return {
        frozenset((name, value) for name, value in {**group.labels, **target}.items() if value)
        for group in groups.values()
        for target in group.targets
    }


def difference(job: str, ours: set[Labels], theirs: set[Labels]) -> str:
    """Each target that only one has, against the nearest of the other's."""
    lines = [f"{job}: {len(ours)} here, {len(theirs)} there"]
    for only, others in ((ours - theirs, theirs), (theirs - ours, ours)):
        for one in only:
            near = max(others, key=lambda other: len(one & other), default=frozenset())
            lines.append(f"here {only <= ours}: {sorted(one - near)} instead of {sorted(near - one)}")
    return "\n".join(lines)


@pytest.fixture
def kubeconfig(kubernetes_api: KubernetesApi) -> Path:
    """Of a cluster with something of everything."""
    kubernetes_api.apply(*objects.cluster())
    return kubernetes_api.kubeconfig()


async def test_every_role_finds_the_targets_and_labels_that_prometheus_finds(
    kubeconfig: Path, prometheus3_bin: Path
) -> None:
    groups: dict[str, dict[str, TargetGroup]] = {name: {} for name in JOBS}
    prometheus = Watching(prometheus3_bin, kubeconfig)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(discover(one, kubeconfig, groups[name])) for name, one in JOBS.items()]
            await asyncio.to_thread(prometheus.start)
            # Neither takes over all that it discovers at once: compared is what they come to rest at.
            deadline = time.monotonic() + PATIENCE_S
            while True:
                theirs = await asyncio.to_thread(prometheus.discovered)
                ours = {name: labels_of(found) for name, found in groups.items()}
                if (theirs == ours and all(theirs.values())) or time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.2)
            for task in running:
                task.cancel()
        await goodbyes()
    finally:
        prometheus.close()
    for name in JOBS:
        assert theirs[name], name
        assert ours[name] == theirs[name], difference(name, ours[name], theirs[name])
