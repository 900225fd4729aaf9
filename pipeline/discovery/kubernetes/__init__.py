"""`kubernetes_sd_configs`: targets from the API of Kubernetes.

`access` says where the server is and who asks, `api` asks, `reflector` keeps a copy of a resource, `objects` what is
kept of each object, one module for each role makes targets of them, `watching` brings all together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.discovery.kubernetes.watching import KubernetesDiscovery

if TYPE_CHECKING:
    from pipeline.config.sd.kubernetes import KubernetesSDConfig
    from pipeline.discovery.discoverer import Surroundings

__all__ = ["KubernetesDiscovery", "discoverer"]


def discoverer(settings: KubernetesSDConfig, around: Surroundings) -> KubernetesDiscovery:
    """One entry of `kubernetes_sd_configs`."""
    return KubernetesDiscovery(settings, around)
