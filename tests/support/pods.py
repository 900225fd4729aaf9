"""headrace as in one of our pods: the rights of the manifests, its service account's files where pods have them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.kustomize import render
from tests.support.mounts import with_mounts

if TYPE_CHECKING:
    from tests.support.kubernetes_api import KubernetesApi

BASE = Path(__file__).resolve().parents[2] / "k8s/base"

# A mount namespace of its own. $0: the service account's folder; $1: what is to be seen as /var/log/pods.
_IN_POD = (
    "mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && "
    'mount --bind "$0" /run/secrets/kubernetes.io/serviceaccount && '
    'mount -t tmpfs none /var/log && mkdir /var/log/pods && mount --bind "$1" /var/log/pods && shift && exec "$@"'
)


def grant_rights_of_the_manifests(api: KubernetesApi) -> None:
    """The service accounts, roles and bindings of k8s/base, as they are."""
    kinds = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    documents = [one for one in render(BASE) if one["kind"] in kinds]
    assert {one["kind"] for one in documents} == set(kinds)
    api.apply(*sorted(documents, key=lambda one: kinds.index(one["kind"])))


def program_in_pod(tmp_path: Path, account: Path, logs: Path | None = None) -> tuple[str, ...]:
    """For `Headrace(argv=…)`. `logs`: what the pod sees as /var/log/pods. See `with_mounts` for where this works."""
    prefix = with_mounts(_IN_POD, str(account), str(logs or tmp_path))
    return (*prefix, sys.executable, "-P", "-m", "pipeline.cli")
