"""Promtail's scrape_configs to targets."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.load import load
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


def test_targets_have_relabelled_labels_and_reasons_when_dropped(tmp_path: Path) -> None:
    (tmp_path / "headrace.yml").write_text("")
    (tmp_path / "promtail.yml").write_text(PROMTAIL)
    config = load(tmp_path / "headrace.yml", promtail_file=tmp_path / "promtail.yml", environ={})
    targets, dropped = resolve(config.logs.scrape_configs, "me")
    assert targets == [
        LogTarget(
            "pods",
            "/var/log/pods/*/*/*.log",
            "/var/log/pods/kube-system_*/*/*.log",
            (("cluster", "c1"), ("instance", "localhost"), ("namespace", "shop")),
            True,
        ),
        LogTarget("hosts", "/a.log", "", (("app", "here"),), False),
    ]
    assert [(one.labels["app"], one.reason) for one in dropped] == [
        ("there", "__host__ is not this machine (me)"),
        ("nothing", "no __path__ label"),
        ("dropped", "dropped by relabel_configs"),
    ]
