"""Promtail's scrape_configs to targets."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.load import load
from pipeline.config.logs import LogScrapeConfig
from pipeline.discovery.target_group import TargetGroup
from pipeline.tail.targets import LogTarget, resolve

PROMTAIL = """
scrape_configs:
  - job_name: pods
    pipeline_stages:
      - cri: {}
    static_configs:
      - labels:
          cluster: c1
          __namespace: shop
          __path__: /var/log/pods/*/*/*.log
          __path_exclude__: /var/log/pods/kube-system_*/*/*.log
    relabel_configs:
      - source_labels: [__namespace]
        target_label: namespace
      - source_labels: [__address__]
        target_label: instance
  - job_name: hosts
    static_configs:
      - targets: [localhost]
        labels: {app: here, __path__: /a.log, __host__: me}
      - targets: [localhost]
        labels: {app: there, __path__: /b.log, __host__: other}
      - targets: [localhost]
        labels: {app: nothing}
      - targets: [localhost]
        labels: {app: dropped, __path__: /c.log}
      - targets: [localhost]
        labels: {app: here, __path__: /a.log, __host__: me}
    relabel_configs:
      - source_labels: [app]
        regex: dropped
        action: drop
"""


def written_down(config: LogScrapeConfig) -> list[TargetGroup]:
    """As static discovery publishes them."""
    return [
        TargetGroup(str(index), ({"__address__": "localhost"},), one.labels)
        for index, one in enumerate(config.static_configs)
    ]


def test_targets_have_relabelled_labels_and_reasons_when_dropped(tmp_path: Path) -> None:
    (tmp_path / "headrace.yml").write_text("")
    (tmp_path / "promtail.yml").write_text(PROMTAIL)
    config = load(tmp_path / "headrace.yml", promtail_file=tmp_path / "promtail.yml", environ={})
    pods, hosts = config.logs.scrape_configs
    targets, dropped = resolve(pods, written_down(pods), "me")
    assert (targets, dropped) == ([
        LogTarget(
            "pods",
            "/var/log/pods/*/*/*.log",
            "/var/log/pods/kube-system_*/*/*.log",
            (("cluster", "c1"), ("instance", "localhost"), ("namespace", "shop")),
            True,
        ),
    ], [])  # fmt: skip
    targets, dropped = resolve(hosts, written_down(hosts), "me")
    assert targets == [LogTarget("hosts", "/a.log", "", (("app", "here"),), False)]
    assert [(one.labels["app"], one.reason) for one in dropped] == [
        ("there", "__host__ is not this machine (me)"),
        ("nothing", "no __path__ label"),
        ("dropped", "dropped by relabel_configs"),
    ]


# The job of an Alloy or Promtail that reads the pods of its node, in Promtail's YAML.
PODS = """
scrape_configs:
  - job_name: pods
    pipeline_stages: [{cri: {}}]
    kubernetes_sd_configs: [{role: pod}]
    relabel_configs:
      - {source_labels: [__meta_kubernetes_pod_node_name], target_label: __host__}
      - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
      - {source_labels: [__meta_kubernetes_pod_container_name], target_label: container}
      - source_labels: [namespace, container]
        separator: /
        target_label: job
      - source_labels: [__meta_kubernetes_pod_uid, __meta_kubernetes_pod_container_name]
        separator: /
        replacement: /var/log/pods/*$1/*.log
        target_label: __path__
"""


def pod(name: str, node: str, *containers: str) -> TargetGroup:
    """As the kubernetes kind publishes a pod."""
    targets = tuple(
        {"__address__": "10.0.0.1:80", "__meta_kubernetes_pod_container_name": container} for container in containers
    )
    labels = {"namespace": "shop", "pod_name": name, "pod_uid": f"uid-{name}", "pod_node_name": node}
    return TargetGroup(f"pod/shop/{name}", targets, {f"__meta_kubernetes_{key}": text for key, text in labels.items()})


def test_pods_of_this_node_become_globs_of_their_containers(tmp_path: Path) -> None:
    (tmp_path / "headrace.yml").write_text("")
    (tmp_path / "promtail.yml").write_text(PODS)
    config = load(tmp_path / "headrace.yml", promtail_file=tmp_path / "promtail.yml", environ={})
    [job] = config.logs.scrape_configs
    targets, dropped = resolve(job, [pod("web", "me", "app", "proxy"), pod("db", "other", "pg")], "me")
    assert [(one.path, dict(one.labels)) for one in targets] == [
        (
            f"/var/log/pods/*uid-web/{container}/*.log",
            {"namespace": "shop", "pod": "web", "container": container, "job": f"shop/{container}"},
        )
        for container in ("app", "proxy")
    ]
    assert [one.reason for one in dropped] == ["__host__ is not this machine (me)"]


def test_a_targets_own_label_wins_over_its_groups_and_empty_ones_are_none() -> None:
    group = TargetGroup("s", ({"__path__": "/own.log", "empty": ""},), {"__path__": "/group.log", "empty": "x"})
    config = LogScrapeConfig(job_name="j")
    [target], _ = resolve(config, [group], "me")
    assert (target.path, target.labels) == ("/own.log", ())
