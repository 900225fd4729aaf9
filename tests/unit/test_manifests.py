"""Kubernetes manifests, Compose file and Dockerfile: true to what the commands really have, and the latter by schema.

Whether the API takes the manifests is asked of a real API server: tests/integration/test_manifests_api.py.
"""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import click
import jsonschema
import pytest
import yaml

from pipeline.config.backends import backends
from pipeline.config.load import load
from pipeline.config.root import Config
from pipeline.lifecycle.options import DEFAULT_ADDRESSES
from tests.support.commands import parsed
from tests.support.kustomize import Document, render, workloads

ROOT = Path(__file__).resolve().parents[2]
KUSTOMIZATIONS = [ROOT / "k8s/base", ROOT / "k8s/overlays/istio", ROOT / "k8s/overlays/production"]
HARD_END_S = 15  # serve(): 12 s of drain, 1 s after cancelling, 2 s until the last resort
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "headrace:local"}
MOUNTED = ROOT / "deploy/compose/headrace"


def listens(arguments: dict[str, Any]) -> int:
    """The port on which this command listens, for everybody."""
    host, _, port = arguments["listen_address"].rpartition(":")
    assert host == "", "inside a container 127.0.0.1 is nobody's"
    return int(port)


# --- Kubernetes ------------------------------------------------------------------------------------------------------


class Workload:
    """One workload of a rendered kustomization, with what belongs to it."""

    def __init__(self, documents: list[Document], document: Document) -> None:
        self.documents = documents
        self.document = document
        self.name = document["metadata"]["name"]
        self.pod = document["spec"]["template"]["spec"]
        (self.container,) = self.pod["containers"]
        self.arguments = parsed(self.container["args"])
        self.mounts = {one["mountPath"]: one for one in self.container["volumeMounts"]}
        self.volumes = {one["name"]: one for one in self.pod["volumes"]}

    def config_map(self, name: str) -> dict[str, str]:
        (found,) = [one for one in self.documents if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name]
        data: dict[str, str] = found["data"]
        return data

    def files(self) -> set[str]:
        """Every file that ConfigMaps and Secrets put into the container."""
        found: set[str] = set()
        for path, mount in self.mounts.items():
            volume = self.volumes[mount["name"]]
            if "configMap" in volume:
                found |= {f"{path}/{name}" for name in self.config_map(volume["configMap"]["name"])}
            if "secret" in volume:
                found |= {f"{path}/{item['path']}" for item in volume["secret"]["items"]}
        return found

    def config(self, tmp_path: Path) -> Config:
        """The configuration that it would load, with the environment that it would have."""
        files = {}
        for flag in ("config_file", "promtail_file"):
            path = PurePosixPath(self.arguments[flag])
            content = self.config_map(self.volumes[self.mounts[str(path.parent)]["name"]]["configMap"]["name"])
            files[flag] = tmp_path / path.name
            for name, text in content.items():
                (tmp_path / name).write_text(text)
        environ: dict[str, str] = {}
        for source in self.container["envFrom"]:
            name = source["secretRef"]["name"]
            (secret,) = [one for one in self.documents if one["kind"] == "Secret" and one["metadata"]["name"] == name]
            environ |= secret["stringData"]
        return load(files["config_file"], promtail_file=files["promtail_file"], environ=environ)


def all_workloads() -> list[Any]:
    found = []
    for folder in KUSTOMIZATIONS:
        documents = render(folder)
        found += [
            pytest.param(Workload(documents, one), id=f"{folder.name}-{one['metadata']['name']}")
            for one in workloads(documents)
        ]
    return found


each_workload = pytest.mark.parametrize("workload", all_workloads())


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda folder: folder.name)
def test_every_object_stands_there_once(folder: Path) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in render(folder)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda folder: folder.name)
def test_there_is_one_workload_for_each_source_and_each_backend(folder: Path, tmp_path: Path) -> None:
    documents = render(folder)
    found = [Workload(documents, one) for one in workloads(documents)]
    agents = [one.arguments["backend"] for one in found if one.arguments["command"] == "agent"]
    assert sorted(agents) == sorted(backend.name for backend in backends(found[0].config(tmp_path)))
    assert sorted(one.arguments["command"] for one in found if one.arguments["command"] != "agent") == [
        "scrape",
        "tail",
    ]


@each_workload
def test_commands_files_and_ports_are_real(workload: Workload, tmp_path: Path) -> None:
    config = workload.config(tmp_path)
    assert config.kafka.brokers, "no role but run starts a Kafka of its own"
    port = listens(workload.arguments)
    assert workload.container["ports"] == [{"name": "http", "containerPort": port}]
    services = [
        one for one in workload.documents if one["kind"] == "Service" and one["metadata"]["name"] == workload.name
    ]
    labels = workload.document["spec"]["template"]["metadata"]["labels"]
    for service in services:
        assert service["spec"]["selector"].items() <= labels.items()
        assert [one["port"] for one in service["spec"]["ports"]] == [port]
    assert bool(services) == (workload.document["kind"] == "Deployment")
    storage = workload.mounts[str(workload.arguments["storage"])]
    assert not storage.get("readOnly")
    assert {mount["name"] for mount in workload.mounts.values()} == set(workload.volumes)


@each_workload
def test_what_the_configuration_names_is_mounted_where_it_is_used(workload: Workload, tmp_path: Path) -> None:
    config, files, command = workload.config(tmp_path), workload.files(), workload.arguments["command"]
    wanted = [config.kafka.password_file, config.kafka.tls_config.ca_file]
    if command == "agent":
        (backend,) = [one for one in backends(config) if one.name == workload.arguments["backend"]]
        settings = backend.settings
        wanted.append(settings.bearer_token_file)
        if settings.basic_auth is not None:
            wanted.append(settings.basic_auth.password_file)
    assert {path for path in wanted if path} <= files
    if command == "scrape":
        patterns = [pattern for job in config.scrape_configs for sd in job.file_sd_configs for pattern in sd.files]
        assert patterns
        for pattern in patterns:
            assert any(fnmatch(path, pattern) for path in files), f"{pattern} matches nothing that is mounted"
    if command == "tail":
        (job,) = config.logs.scrape_configs
        assert job.cri
        folder = "/var/log/pods"
        (path,) = [rule.replacement for rule in job.relabel_configs if rule.target_label == "__path__"]
        assert path.startswith(folder + "/")
        variables = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in workload.container["env"]}
        assert variables["HOSTNAME"] == variables["NODE_NAME"] == "spec.nodeName"
        assert workload.mounts[folder]["readOnly"]
        assert workload.volumes[workload.mounts[folder]["name"]]["hostPath"]["path"] == folder
        assert [name for name, volume in workload.volumes.items() if "hostPath" in volume] == ["pods"]
        assert "initContainers" not in workload.pod


@each_workload
def test_pods_are_unprivileged_probed_bounded_and_given_time_to_drain(workload: Workload) -> None:
    pod, container = workload.pod, workload.container
    assert pod["automountServiceAccountToken"] is (workload.arguments["command"] in ("scrape", "tail"))
    accounts = [one["metadata"]["name"] for one in workload.documents if one["kind"] == "ServiceAccount"]
    assert pod["serviceAccountName"] in accounts
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in (*pod.get("initContainers", ()), container):
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert one["image"] == "headrace"
        assert {"cpu", "memory"} <= set(one["resources"]["requests"])
    for probe, path in (("startupProbe", "healthy"), ("livenessProbe", "healthy"), ("readinessProbe", "ready")):
        assert container[probe]["httpGet"] == {"path": f"/-/{path}", "port": "http"}
    assert pod["terminationGracePeriodSeconds"] > HARD_END_S


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda folder: folder.name)
def test_accounts_that_mount_a_token_may_list_and_watch_and_nothing_else(folder: Path) -> None:
    documents = render(folder)
    roles = {one["metadata"]["name"]: one["rules"] for one in documents if one["kind"] == "ClusterRole"}
    for binding in (one for one in documents if one["kind"] == "ClusterRoleBinding"):
        (subject,) = binding["subjects"]
        assert subject["name"] == binding["roleRef"]["name"]
        assert subject["namespace"] == "headrace"
    bound = {one["subjects"][0]["name"] for one in documents if one["kind"] == "ClusterRoleBinding"}
    pods = [one["spec"]["template"]["spec"] for one in workloads(documents)]
    assert bound == {pod["serviceAccountName"] for pod in pods if pod["automountServiceAccountToken"]} == set(roles)
    assert all(rule["verbs"] == ["list", "watch"] for rules in roles.values() for rule in rules)
    assert "secrets" not in str(roles)


def test_targets_of_the_base_are_services_of_the_base() -> None:
    documents = render(ROOT / "k8s/base")
    services = {
        f"{one['metadata']['name']}:{one['spec']['ports'][0]['port']}" for one in documents if one["kind"] == "Service"
    }
    (targets,) = [one for one in documents if one["metadata"]["name"] == "headrace-targets"]
    listed = {
        target for text in targets["data"].values() for group in yaml.safe_load(text) for target in group["targets"]
    }
    assert listed == services


# --- Compose ---------------------------------------------------------------------------------------------------------


def compose_config() -> Config:
    return load(MOUNTED / "prometheus.yml", promtail_file=MOUNTED / "promtail.yml", environ={})


def test_the_compose_file_is_what_its_specification_says() -> None:
    schema = json.loads((ROOT / "tests/data/schemas/compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)
    broken = COMPOSE | {"services": {"x": {"imagee": "y"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_compose_mounts_files_that_exist_and_declares_its_volumes() -> None:
    used = set()
    for service in COMPOSE["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), mount
            else:
                used.add(source)
        assert re.search(r":[^:]*\d", service["image"]) or "build" in service, "images are pinned"
    assert used == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", OURS)
def test_compose_roles_have_real_commands_ports_and_files(name: str) -> None:
    service = OURS[name]
    arguments = parsed(service["command"])
    port = listens(arguments)
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    probe = service["healthcheck"]["test"]
    assert probe[:2] == ["CMD", "headrace"]
    assert parsed(probe[2:])["url"] == f"http://127.0.0.1:{port}"
    assert {f"{volume.split(':')[1]}" for volume in service["volumes"]} >= {"/etc/headrace", str(arguments["storage"])}
    for flag in ("config_file", "promtail_file"):
        assert arguments[flag].parent == Path("/etc/headrace")
        assert (MOUNTED / arguments[flag].name).is_file()
    (broker,) = arguments["brokers"].split(",")
    assert broker in COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert int(service["stop_grace_period"].removesuffix("s")) > HARD_END_S
    assert service["read_only"]
    assert service["user"] == "10001:0"


def test_compose_runs_every_backend_and_every_host_is_a_service() -> None:
    config = compose_config()
    commands = {name: parsed(service["command"]) for name, service in OURS.items()}
    agents = {one["backend"] for one in commands.values() if one["command"] == "agent"}
    assert agents == {backend.name for backend in backends(config)}
    ports = {name: listens(one) for name, one in commands.items()}
    for backend in backends(config):
        url = urlsplit(backend.settings.url)
        published = COMPOSE["services"][url.hostname]["ports"]
        assert f"127.0.0.1:{url.port}:{url.port}" in published
    for job in config.scrape_configs:
        for target in job.static_configs[0].targets:
            host, _, port = target.partition(":")
            assert host in COMPOSE["services"]
            assert ports.get(host, int(port)) == int(port)


def test_compose_tails_what_envoy_writes() -> None:
    envoy = (ROOT / "deploy/compose/envoy.yaml").read_text()
    log = re.search(r"path: (/var/log/\S+)", envoy)
    assert log is not None
    (job,) = compose_config().logs.scrape_configs
    assert fnmatch(log[1], job.static_configs[0].labels["__path__"])
    folder = str(PurePosixPath(log[1]).parent)
    assert f"envoy-logs:{folder}" in COMPOSE["services"]["envoy"]["volumes"]
    assert f"envoy-logs:{folder}:ro" in COMPOSE["services"]["tailer"]["volumes"]


def test_unknown_flags_and_commands_are_noticed() -> None:
    with pytest.raises(click.UsageError):
        parsed(["tail", "--storage.paht=/x"])
    with pytest.raises(click.UsageError):
        parsed(["taill"])


# --- Dockerfile ------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_dockerfile_copies_what_the_build_needs_and_runs_our_command_unprivileged() -> None:
    steps = instructions()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [text for name, text in steps if name == "FROM"] == ["python:3.11-slim AS build", "python:3.11-slim"]
    copied = [text.split()[:-1] for name, text in steps if name == "COPY" and not text.startswith("--from")]
    sources = {source for group in copied for source in group}
    assert {"pyproject.toml", project["readme"], *project["license-files"], "topics", "pipeline", "agents"} == sources
    assert all((ROOT / source).exists() for source in sources)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert sources == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    (entrypoint,) = [json.loads(text) for name, text in steps if name == "ENTRYPOINT"]
    assert entrypoint == ["headrace"]
    assert "headrace" in project["scripts"]
    assert ("USER", "10001:0") in steps
    assert [name for name, _ in steps].index("USER") > [text for _, text in steps].index("python:3.11-slim")
    ports = {address.rpartition(":")[2] for address in DEFAULT_ADDRESSES.values()}
    (exposed,) = [text.split() for name, text in steps if name == "EXPOSE"]
    assert set(exposed) <= ports
