"""The alert rules that are shipped: valid, tested by the real promtool, and each of its tests able to fail."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.telemetry import catalogue
from pipeline.telemetry.metrics import Metric
from tests.peers.catalogue import PROMTOOL
from tests.support.server import require

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/alerts/headrace.rules.yml"
CASES = ROOT / "tests/data/alerts/headrace.test.yml"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = [rule["alert"] for group in GROUPS for rule in group["rules"]]
KNOWN = {value.name for value in vars(catalogue).values() if isinstance(value, Metric)} | {"up"}

pytestmark = pytest.mark.promtool


def promtool(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([require(PROMTOOL), *args], cwd=cwd, capture_output=True, text=True, check=False)


def verdict(folder: Path, groups: list[dict[str, object]]) -> subprocess.CompletedProcess[str]:
    """promtool's verdict on the cases with these rules in the place of ours."""
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    cases = yaml.safe_load(CASES.read_text()) | {"rule_files": ["rules.yml"]}
    (folder / "cases.yml").write_text(yaml.safe_dump(cases))
    return promtool("test", "rules", "cases.yml", cwd=folder)


def test_the_rules_are_valid_and_fire_when_they_should_and_only_then() -> None:
    checked = promtool("check", "rules", "--lint-fatal", RULES, cwd=ROOT)
    assert checked.returncode == 0, checked.stderr
    done = promtool("test", "rules", CASES, cwd=CASES.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def changed(alert: str, expr: str | None) -> list[dict[str, object]]:
    """The rules with this alert left out, or with another expression."""
    return [
        group
        | {
            "rules": [
                rule if rule["alert"] != alert else rule | {"expr": expr}
                for rule in group["rules"]
                if rule["alert"] != alert or expr is not None
            ]
        }
        for group in GROUPS
    ]


@pytest.mark.parametrize("alert", ["HeadraceLedgerOpen", "HeadraceBackendBehind", "HeadraceDown"])
def test_an_alert_that_never_fires_or_always_does_is_found_out(alert: str, tmp_path: Path) -> None:
    assert verdict(tmp_path, changed(alert, None)).returncode == 1
    assert verdict(tmp_path, changed(alert, "vector(1)")).returncode == 1


def test_each_alert_is_expected_to_fire_where_things_go_wrong_and_none_where_all_is_well() -> None:
    quiet, wrong = yaml.safe_load(CASES.read_text())["tests"]
    assert all(case["expr"] == 'count(ALERTS{alertstate="firing"})' for case in quiet["promql_expr_test"])
    assert not any(case["exp_samples"] for case in quiet["promql_expr_test"])
    expected = "".join(sample["labels"] for case in wrong["promql_expr_test"] for sample in case["exp_samples"])
    assert [alert for alert in ALERTS if f'alertname="{alert}"' not in expected] == []
    used = "".join(one["series"] for one in quiet["input_series"])
    asked = {name for group in GROUPS for rule in group["rules"] for name in _names(rule["expr"])}
    assert [name for name in asked if name not in used] == [], "what is not there cannot show that an alert is silent"


def _names(expr: str) -> set[str]:
    return set(re.findall(r"\b(headrace_[a-z0-9_]+|up)\b", expr))


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_asks_for_metrics_that_there_are_and_says_what_to_do(alert: str) -> None:
    rule = next(rule for group in GROUPS for rule in group["rules"] if rule["alert"] == alert)
    names = _names(rule["expr"])
    assert names
    assert names <= KNOWN
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"]
    page = (ROOT / "docs/operating.md").read_text()
    assert f"`{alert}`" in page, "docs/operating.md says what to do about it"


def test_the_file_is_what_the_documentation_tells_people_to_copy() -> None:
    assert str(RULES.relative_to(ROOT)) in (ROOT / "docs/operating.md").read_text()
