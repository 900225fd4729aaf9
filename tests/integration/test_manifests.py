"""Deployment files shown to the programs that will read them, where those are installed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.peers.catalogue import ENVOY, KUSTOMIZE, LOKI, PROMETHEUS, PROMTOOL
from tests.support.kustomize import Document, render
from tests.support.server import require

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy/compose"


def output(*argv: object) -> str:
    done = subprocess.run([str(one) for one in argv], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.kustomize
@pytest.mark.parametrize("folder", ["base", "overlays/istio", "overlays/production"])
def test_kustomize_renders_what_the_other_tests_check(folder: str) -> None:
    theirs = list(yaml.safe_load_all(output(require(KUSTOMIZE), "build", ROOT / "k8s" / folder)))
    assert sorted(map(comparable, theirs)) == sorted(map(comparable, render(ROOT / "k8s" / folder)))


def comparable(document: Document) -> str:
    """Without what only the real kustomize adds: hashes in names, images' full names, common labels; lists in order."""
    metadata = document["metadata"]
    metadata.get("labels", {}).pop("app.kubernetes.io/part-of", None)
    if not metadata.get("labels"):
        metadata.pop("labels", None)
    if document["kind"] == "ConfigMap":
        metadata["name"] = "-".join(metadata["name"].split("-")[:2])
    if document["kind"] == "Namespace":
        metadata.pop("namespace", None)
    pod = document.get("spec", {}).get("template", {}).get("spec", {})
    for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
        container["image"] = container["image"].split(":")[0].split("/")[-1]
        container.get("volumeMounts", []).sort(key=lambda one: one["mountPath"])
    pod.get("volumes", []).sort(key=lambda one: one["name"])
    for volume in pod.get("volumes", ()):
        if "configMap" in volume:
            volume["configMap"]["name"] = "-".join(volume["configMap"]["name"].split("-")[:2])
    return json.dumps(document, sort_keys=True)


@pytest.mark.prometheus
def test_prometheus_takes_the_files_that_are_its_own() -> None:
    promtool = require(PROMETHEUS).with_name("promtool")
    output(promtool, "check", "config", COMPOSE / "prometheus.yml")
    output(promtool, "check", "config", "--syntax-only", COMPOSE / "headrace/prometheus.yml")


@pytest.mark.promtool
@pytest.mark.parametrize("folder", ["base", "overlays/istio", "overlays/production"])
def test_prometheus_takes_the_ready_jobs_as_they_are(folder: str, tmp_path: Path) -> None:
    files = [one["data"] for one in render(ROOT / "k8s" / folder) if one["kind"] == "ConfigMap"]
    jobs = {name: text for data in files for name, text in data.items() if name.startswith("scrape-")}
    assert jobs
    for name, text in jobs.items():
        (tmp_path / name).write_text(text)
        output(require(PROMTOOL), "check", "config", tmp_path / name)


@pytest.mark.envoy
def test_envoy_takes_its_configuration(tmp_path: Path) -> None:
    text = (COMPOSE / "envoy.yaml").read_text().replace("/var/log/envoy", str(tmp_path))
    (tmp_path / "envoy.yaml").write_text(text)
    output(require(ENVOY), "--mode", "validate", "--config-path", tmp_path / "envoy.yaml")


@pytest.mark.loki
def test_loki_takes_its_configuration(tmp_path: Path) -> None:
    text = (COMPOSE / "loki.yaml").read_text().replace("/loki", str(tmp_path))
    (tmp_path / "loki.yaml").write_text(text)
    output(require(LOKI), "-verify-config", f"-config.file={tmp_path / 'loki.yaml'}")
