"""The backends that the tests read back from: Prometheus 2.42 and 3, VictoriaMetrics, Loki."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.support.server import Server, free_port

if TYPE_CHECKING:
    from pathlib import Path

Series = dict[tuple[tuple[str, str], ...], list[tuple[int, str]]]
"""Sorted label pairs (with `__name__`) → samples (timestamp in ms, value as the server wrote it), in its order."""


class PromApi(Server):
    """What Prometheus and VictoriaMetrics answer alike."""

    def query(self, promql: str, at_s: float | None = None) -> list[dict[str, Any]]:
        """The `result` of an instant query: `[{"metric": {...}, "value": [seconds, "text"]}]`."""
        params = {"query": promql}
        if at_s is not None:
            params["time"] = f"{at_s:.3f}"
        return list(self.get_json("/api/v1/query", **params)["data"]["result"])

    def series(self, selector: str, window: str = "1d") -> Series:
        """Every stored sample of the matching series, raw: a range selector is read as it is stored."""
        found: Series = {}
        for one in self.query(f"{selector}[{window}]"):
            samples = [(round(float(at) * 1000), text) for at, text in one["values"]]
            found[tuple(sorted(one["metric"].items()))] = samples
        return found


class Prometheus(PromApi):
    """Prometheus as a remote-write receiver that scrapes nothing and takes no sample out of order."""

    name = "prometheus"
    ready_path = "/-/ready"
    features: tuple[str, ...] = ()
    """Of `--enable-feature`; set before it is started."""

    def prepare(self) -> None:
        """No target, and no `out_of_order_time_window`: an older sample of a series is refused."""
        (self.folder / "prometheus.yml").write_text("global: {}\n")

    def argv(self) -> list[str]:
        """Both generations know these flags."""
        return [
            str(self.program),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-remote-write-receiver",
            *([f"--enable-feature={','.join(self.features)}"] if self.features else []),
        ]

    @property
    def write_url(self) -> str:
        """Where remote write goes."""
        return f"{self.url}/api/v1/write"


class VictoriaMetrics(PromApi):
    """A single-node VictoriaMetrics."""

    name = "victoriametrics"
    ready_path = "/health"

    def argv(self) -> list[str]:
        """Without the usual 30 s in which fresh samples are hidden from queries."""
        return [
            str(self.program),
            f"-storageDataPath={self.folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-search.latencyOffset=0s",
            "-search.disableCache",
            "-retentionPeriod=10y",
            "-memory.allowedBytes=128MB",
        ]

    @property
    def write_url(self) -> str:
        """Where remote write goes."""
        return f"{self.url}/api/v1/write"

    def query(self, promql: str, at_s: float | None = None) -> list[dict[str, Any]]:
        """As for Prometheus; what was acknowledged before is seen."""
        self._flush()
        return super().query(promql, at_s)

    def export(self, selector: str) -> Series:
        """Every stored sample of the matching series, duplicates and all."""
        self._flush()
        status, body = self.request("/api/v1/export", params={"match[]": selector})
        assert status == 200, body
        found: Series = {}
        for line in body.splitlines():
            one = json.loads(line)
            samples = [(int(at), str(value)) for at, value in zip(one["timestamps"], one["values"], strict=True)]
            found.setdefault(tuple(sorted(one["metric"].items())), []).extend(samples)
        return found

    def _flush(self) -> None:
        # What was just stored becomes searchable within a second or two of its own; tests do not wait for that.
        self.request("/internal/force_flush")


class Loki(Server):
    """A single-binary Loki on the file system, with structured metadata (schema v13, tsdb)."""

    name = "loki"
    ready_path = "/ready"

    def __init__(self, program: Path, **limits: Any) -> None:
        """`limits` go into `limits_config`."""
        super().__init__(program)
        self._limits = limits
        self._config = self.folder / "loki.yml"
        self._grpc_port = free_port()

    def prepare(self) -> None:
        """One process, no waiting for other members of a ring, no limit that a test could meet by accident."""
        own_grpc = f"127.0.0.1:{self._grpc_port}"
        config = {
            "auth_enabled": False,
            "server": {
                "http_listen_address": "127.0.0.1",
                "http_listen_port": self.port,
                "grpc_listen_address": "127.0.0.1",
                "grpc_listen_port": self._grpc_port,
                "log_level": "warn",
            },
            "common": {
                "instance_addr": "127.0.0.1",
                "path_prefix": str(self.folder / "data"),
                "replication_factor": 1,
                "ring": {"kvstore": {"store": "inmemory"}},
                "storage": {
                    "filesystem": {
                        "chunks_directory": str(self.folder / "data/chunks"),
                        "rules_directory": str(self.folder / "data/rules"),
                    }
                },
            },
            "ingester": {"lifecycler": {"min_ready_duration": "0s", "final_sleep": "0s"}},
            "schema_config": {
                "configs": [
                    {
                        "from": "2020-01-01",
                        "store": "tsdb",
                        "object_store": "filesystem",
                        "schema": "v13",
                        "index": {"prefix": "index_", "period": "24h"},
                    }
                ]
            },
            "limits_config": {
                "allow_structured_metadata": True,
                "ingestion_rate_mb": 1024,
                "ingestion_burst_size_mb": 1024,
                "per_stream_rate_limit": "1GB",
                "per_stream_rate_limit_burst": "1GB",
                "discover_log_levels": False,
                "discover_service_name": [],
                **self._limits,
            },
            # Its own scheduler by address: found through the ring, as is usual, it takes queries only after 5 to 10 s.
            "query_scheduler": {"use_scheduler_ring": False},
            "frontend": {"scheduler_address": own_grpc, "scheduler_dns_lookup_period": "100ms"},
            "frontend_worker": {"scheduler_address": own_grpc, "dns_lookup_duration": "100ms"},
            "analytics": {"reporting_enabled": False},
        }
        # JSON is YAML.
        self._config.write_text(json.dumps(config, indent=1))

    def argv(self) -> list[str]:
        """All of Loki's parts in one process."""
        return [str(self.program), "-target=all", f"-config.file={self._config}"]

    @property
    def push_url(self) -> str:
        """Where pushes go."""
        return f"{self.url}/loki/api/v1/push"

    def query_range(self, logql: str, *, limit: int = 5000, hours: float = 24) -> list[dict[str, Any]]:
        """The streams of a log query over the last hours and the next, oldest line first.

        Each is `{"stream": {label: value}, "values": [["nanoseconds", "line"], …]}`. Structured metadata counts as
        labels there, so lines of one stream with different metadata come as several.
        """
        now = time.time_ns()
        params = {
            "query": logql,
            "start": str(now - round(hours * 3600e9)),
            "end": str(now + round(3600e9)),
            "limit": str(limit),
            "direction": "forward",
        }
        return list(self.get_json("/loki/api/v1/query_range", **params)["data"]["result"])
