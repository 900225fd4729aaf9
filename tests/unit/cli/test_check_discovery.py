"""`headrace check service-discovery`: promtool's form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli.check import command
from pipeline.roles import check_discovery

CONFIG = """
scrape_configs:
- job_name: web
  file_sd_configs: [{files: [targets.json]}]
  static_configs: [{targets: [static:1, static:1]}]
  relabel_configs:
  - {source_labels: [env], regex: test, action: drop}
  - {source_labels: [env], target_label: stage}
- job_name: none
- job_name: broken
  static_configs: [{targets: [still:1]}]
  consul_sd_configs: [{server: "127.0.0.1:1"}]
logs:
  scrape_configs:
  - job_name: files
    static_configs: [{labels: {__path__: /a.log, app: x}}, {labels: {app: y}}]
"""
TARGETS = [
    {"targets": ["file:1"], "labels": {"env": "prod"}},
    {"targets": ["file:2"], "labels": {"env": "test"}},
    {"targets": ["bad/file:3"], "labels": {"env": "prod"}},
]
DEFAULTS = {
    "__always_scrape_classic_histograms__": "false",
    "__convert_classic_histograms_to_nhcb__": "false",
    "__metrics_path__": "/metrics",
    "__scheme__": "http",
    "__scrape_interval__": "1m",
    "__scrape_native_histograms__": "false",
    "__scrape_timeout__": "10s",
    "job": "web",
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(check_discovery, "QUIET_S", 0.1)
    (tmp_path / "targets.json").write_text(json.dumps(TARGETS))
    (tmp_path / "c.yml").write_text(CONFIG)
    return tmp_path / "c.yml"


def run(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["service-discovery", str(file), *arguments])


def test_labels_before_and_after_each_set_once(file: Path) -> None:
    result = run(file, "web")
    assert (result.exit_code, result.stderr) == (0, "")
    meta = {"__meta_filepath": str(file.parent / "targets.json")}

    def before(address: str, **more: str) -> dict[str, str]:
        return DEFAULTS | {"__address__": address} | more

    def after(address: str, **more: str) -> dict[str, str]:
        return before(address, instance=address, **more)

    assert json.loads(result.stdout) == [
        {
            "discoveredLabels": before("bad/file:3", env="prod", **meta),
            "labels": {},
            "error": '"bad/file:3" is not a valid hostname',
        },
        {"discoveredLabels": before("file:1", env="prod", **meta), "labels": after("file:1", env="prod", stage="prod")},
        {"discoveredLabels": before("file:2", env="test", **meta), "labels": {}},
        {"discoveredLabels": before("static:1"), "labels": after("static:1")},
    ]


def test_a_job_without_discovery_finds_nothing(file: Path) -> None:
    result = run(file, "none")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_what_cannot_be_asked_is_said_and_the_rest_is_shown(file: Path) -> None:
    result = run(file, "broken")
    assert result.exit_code == 0
    assert "consul: http://127.0.0.1:1/v1/agent/self: connection refused" in result.stderr
    assert [one["discoveredLabels"]["__address__"] for one in json.loads(result.stdout)] == ["still:1"]


def test_log_jobs_are_jobs_too(file: Path) -> None:
    found = json.loads(run(file, "files").stdout)
    assert found == [
        {
            "discoveredLabels": {"__address__": "localhost", "__path__": "/a.log", "app": "x"},
            "labels": {"__path__": "/a.log", "app": "x"},
        },
        {"discoveredLabels": {"__address__": "localhost", "app": "y"}, "labels": {}},
    ]


def test_an_unknown_job_lists_those_that_there_are(file: Path) -> None:
    result = run(file, "nobody")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "Job nobody not found. Select one of:"
    assert {line.strip() for line in result.stderr.splitlines()[1:]} == {"web", "none", "broken", "files"}


def test_a_file_that_is_wrong_is_said_with_its_line(file: Path) -> None:
    file.write_text("scrape_configs:\n- job_name: a\n  dns_sd_configs: [{}]\n")
    result = run(file, "a")
    assert result.exit_code == 1
    assert f"{file}:3: scrape_configs[0].dns_sd_configs[0]: DNS-SD config must contain" in result.stderr


@pytest.mark.parametrize("timeout", ["x", "10", "-1s"])
def test_a_timeout_is_a_duration(file: Path, timeout: str) -> None:
    result = run(file, "web", "--timeout", timeout)
    assert result.exit_code == 2
    assert "is not a duration: write for example 30s" in result.stderr
