"""`headrace check service-discovery` and promtool 3 find the same, label for label, by the same configuration.

promtool shows the labels that discovery itself of Prometheus makes, so this holds our kinds against the original.
"""

from __future__ import annotations

import json
import socketserver
import subprocess
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from moto.server import ThreadedMotoServer

from pipeline.cli.check import command
from tests.integration.test_ec2_sd import REGION, Cloud
from tests.peers import catalogue
from tests.support.consul import Consul
from tests.support.server import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.promtool, pytest.mark.slow]

RULES = [
    {"source_labels": ["env"], "regex": "test", "action": "drop"},
    {"source_labels": ["__address__"], "regex": "(.*):.*", "target_label": "host"},
    {"regex": "__meta_(?:consul|ec2|kubernetes)_(.+)", "action": "labelmap"},
]
GROUPS = [
    {"targets": ["a:1", "a:2"], "labels": {"env": "prod", "empty": "", "__scheme__": "https"}},
    {"targets": ["b:1"], "labels": {"env": "test"}},
    {"targets": ["[fd00::1]:80", "c"]},
    {"targets": [], "labels": {"x": "y"}},
]
YAML = "- targets: [y:1]\n  labels: {on: yes, n: 010}\n- targets: [y:2]\n"


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Answers with the groups, as an endpoint for http_sd does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(GROUPS).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/sd?env=prod"
        server.shutdown()
        thread.join()


def found_by(program: Path, file: Path, job: str) -> tuple[list[Any], list[Any]]:
    """What promtool finds, and what we find: discovered labels and labels after relabelling, sorted."""
    done = subprocess.run(
        [program, "check", "service-discovery", "--timeout=3s", file, job], capture_output=True, text=True, check=True
    )
    ours = CliRunner().invoke(command, ["service-discovery", str(file), job])
    assert ours.exit_code == 0, ours.stderr
    return pairs(json.loads(done.stdout)), pairs(json.loads(ours.stdout))


def pairs(found: list[dict[str, Any]]) -> list[Any]:
    return sorted((sorted(one["discoveredLabels"].items()), sorted(one["labels"].items())) for one in found)


def written(folder: Path, **discovery: Any) -> Path:
    file = folder / "prometheus.yml"
    job = {"job_name": "j", "relabel_configs": RULES, "params": {"module": ["x"]}, **discovery}
    file.write_text(json.dumps({"scrape_configs": [job]}))
    return file


def test_static(tmp_path: Path) -> None:
    theirs, ours = found_by(require(catalogue.PROMTOOL), written(tmp_path, static_configs=GROUPS), "j")
    assert ours == theirs
    assert len(ours) == 5


def test_files(tmp_path: Path) -> None:
    program = require(catalogue.PROMTOOL)
    (tmp_path / "t.json").write_text(json.dumps(GROUPS))
    (tmp_path / "t.yml").write_text(YAML)
    # `*.yml` matches the configuration too, which is no list of groups: both say so and go on.
    theirs, ours = found_by(program, written(tmp_path, file_sd_configs=[{"files": ["t.json", "*.yml"]}]), "j")
    assert ours == theirs
    assert len(ours) == 7


def test_http(tmp_path: Path, endpoint: str) -> None:
    program = require(catalogue.PROMTOOL)
    theirs, ours = found_by(program, written(tmp_path, http_sd_configs=[{"url": endpoint}]), "j")
    assert ours == theirs
    assert len(ours) == 5


@pytest.mark.consul
def test_consul(tmp_path: Path) -> None:
    program = require(catalogue.PROMTOOL)
    consul = Consul(require(catalogue.CONSUL))
    try:
        consul.start()
        consul.register("web", 80, Tags=["prod", "v1"], Meta={"team-name": "us"}, Address="10.1.0.1")
        consul.register("db", 5432, Tags=["prod"], Check={"TTL": "1h", "Status": "critical"})
        consul.register("plain", 1)
        consul.put("/agent/service/maintenance/plain?enable=true")
        server = f"127.0.0.1:{consul.port}"
        theirs, ours = found_by(program, written(tmp_path, consul_sd_configs=[{"server": server}]), "j")
        assert ours == theirs
        assert len(ours) == 4
        settings = [{"server": server, "tags": ["prod"], "tag_separator": "|", "services": ["web", "plain"]}]
        theirs, ours = found_by(program, written(tmp_path, consul_sd_configs=settings), "j")
        assert ours == theirs
        assert len(ours) == 1
    finally:
        consul.close()


def test_ec2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = require(catalogue.PROMTOOL)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)  # Prometheus's AWS client does not go with it
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        cloud = Cloud(server)
        subnet = cloud.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        cloud.launch("web", SubnetId=subnet)
        cloud.launch("db", InstanceMarketOptions={"MarketType": "spot"})
        keys = {"access_key": "AKIA", "secret_key": "hunter2", "region": REGION, "endpoint": cloud.url}
        theirs, ours = found_by(program, written(tmp_path, ec2_sd_configs=[keys]), "j")
        assert ours == theirs
        assert len(ours) == 2
        filtered = [keys | {"filters": [{"name": "tag:Name", "values": ["db"]}], "port": 9100}]
        theirs, ours = found_by(program, written(tmp_path, ec2_sd_configs=filtered), "j")
        assert ours == theirs
        assert len(ours) == 1
    finally:
        server.stop()
