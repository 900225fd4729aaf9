"""The files of the demo: a `prometheus.yml` and a `promtail.yml` as anybody has them, and the targets beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.web.server import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.demo.envoy import Envoy

SCRAPE_INTERVAL_S = 1
LOGS_BACKEND = "logs"


@dataclass(frozen=True, slots=True)
class Files:
    """Where they are."""

    folder: Path

    @property
    def prometheus(self) -> Path:
        """For --config.file."""
        return self.folder / "prometheus.yml"

    @property
    def promtail(self) -> Path:
        """For --promtail.config-file."""
        return self.folder / "promtail.yml"

    @property
    def targets(self) -> Path:
        """The file_sd targets."""
        return self.folder / "targets.json"

    @property
    def pods(self) -> Path:
        """Access logs, laid out as on a Kubernetes node."""
        return self.folder / "pods"

    @property
    def logs(self) -> Path:
        """What each program prints."""
        return self.folder / "logs"

    @property
    def storage(self) -> Path:
        """The run's own storage: Kafka's data, positions."""
        return self.folder / "storage"

    def write_targets(self, envoys: Sequence[Envoy]) -> None:
        """The Envoys to scrape; none: the scraper ends their series and falls silent."""
        groups = [
            {"targets": [envoy.admin], "labels": {"namespace": envoy.namespace, "pod": envoy.pod}} for envoy in envoys
        ]
        write_atomically(self.targets, json.dumps(groups, indent=1) + "\n")

    def write_prometheus(self, backends: Sequence[tuple[str, str]]) -> None:
        """`backends`: (name, url to write to)."""
        remote_write = "".join(f"  - name: {name}\n    url: {url}\n" for name, url in backends)
        write_atomically(
            self.prometheus,
            f"""# A prometheus.yml like any other. headrace reads it with --config.file.
global:
  scrape_interval: {SCRAPE_INTERVAL_S}s
  scrape_timeout: {SCRAPE_INTERVAL_S}s
  external_labels:
    cluster: demo

scrape_configs:
  - job_name: envoy
    metrics_path: /stats/prometheus
    file_sd_configs:
      - files: [{json.dumps(str(self.targets))}]
        refresh_interval: 1m

remote_write:
{remote_write}""",
        )

    def write_promtail(self, push_url: str) -> None:
        """`push_url`: where log lines go."""
        write_atomically(
            self.promtail,
            f"""# A promtail.yml like any other. headrace reads it with --promtail.config-file.
clients:
  - name: {LOGS_BACKEND}
    url: {push_url}

scrape_configs:
  - job_name: pods
    static_configs:
      - targets: [localhost]
        labels:
          job: envoy
          __path__: {json.dumps(str(self.pods / "*/*/*.log"))}
    pipeline_stages:
      - cri: {{}}
""",
        )
