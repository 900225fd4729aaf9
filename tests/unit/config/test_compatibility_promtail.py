"""docs/compatibility-promtail.md has a row for every key, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pipeline.config import logs, stages
from pipeline.config.http import HttpClientConfig
from pipeline.config.keys import key_of, shape
from pipeline.config.promtail import PromtailConfig
from pipeline.config.sd import KINDS
from pipeline.config.section import Section
from pipeline.config.stages import NAMES, PipelineStage

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/compatibility-promtail.md").read_text(encoding="utf-8")
TABLES = {
    title: set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
    for title, text in re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
OTHERS = (logs.PositionsConfig, logs.TargetConfig, logs.FileWatchConfig, logs.LimitsConfig)


def keys(section: type[Section]) -> set[str]:
    """What may stand in a section, but for the keys of HTTP and the kinds of discovery that are refused."""
    known = {key_of(name, field) for name, field in section.model_fields.items()} | set(section.FOREIGN)
    if issubclass(section, HttpClientConfig):
        known -= set(HttpClientConfig.model_fields) | set(HttpClientConfig.FOREIGN)
    kinds = {kind.key() for kind in KINDS.values()}
    return {key for key in known if not key.endswith("_sd_configs") or key in kinds}


def keys_inside(section: type[Section], path: str) -> set[str]:
    found = set()
    for name, field in section.model_fields.items():
        key = f"{path}.{key_of(name, field)}"
        found.add(key)
        inner = shape(field)
        if inner is not None and inner[1] is not PipelineStage:
            found |= keys_inside(inner[1], key)
    return found


@pytest.mark.parametrize(
    ("title", "sections"),
    [
        ("The file", (PromtailConfig,)),
        ("`clients[]`", (logs.LokiClientConfig,)),
        ("`scrape_configs[]`", (logs.LogScrapeConfig,)),
        ("`positions`, `target_config`, `file_watch_config`, `limits_config`", OTHERS),
    ],
)
def test_every_key_has_its_row_and_every_row_its_key(title, sections):
    assert TABLES[title] == set().union(*(keys(section) for section in sections))


def test_every_stage_and_each_of_its_keys_has_its_row():
    wanted = set(NAMES) | (set(PipelineStage.FOREIGN) - {"pipeline"})
    for name, field in PipelineStage.model_fields.items():
        inner = shape(field)
        if inner is not None:
            found = keys_inside(inner[1], key_of(name, field))
            # The sections of `metrics` stand under names of the user's own.
            wanted |= found
    assert TABLES["Stages"] >= wanted
    assert {row.split(".")[0] for row in TABLES["Stages"]} <= set(NAMES) | set(PipelineStage.FOREIGN)


def test_every_row_names_a_test_that_is_there():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) > 120
    assert [row for row in rows if not re.search(r"\| `tests/[\w/]+\.py::test_\w+` \|$", row)] == []
    missing = []
    for file, test in sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE))):
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        if test not in names:
            missing.append(f"{file}::{test}")
    assert missing == []


def test_the_sections_of_stages_are_all_looked_at():
    assert len(list(stages.sections())) > 20
