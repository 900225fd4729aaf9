"""Our stages give what Promtail's own give: vectors recorded from Promtail's stages package, Loki 3.7.8.

tests/data/stages/documents.py says how they were recorded. Extracted values are compared as texts: a JSON number is a
float to Go.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.stages.custom_metrics import CustomMetrics
from pipeline.stages.entry import Entry, text_of
from pipeline.stages.pipeline import Job, Program
from pipeline.tail.lines import Tally
from pipeline.telemetry.metrics import Telemetry
from topics.errors import ConfigError

VECTORS = json.loads(Path("tests/data/stages/vectors.json").read_text())


def stages_of(text: str, tmp_path: Path):
    config = {"logs": {"scrape_configs": [{"job_name": "job", "pipeline_stages": "STAGES"}]}}
    indented = "\n".join("    " + line for line in text.splitlines())
    path = tmp_path / "headrace.yml"
    path.write_text(yaml.safe_dump(config).replace("pipeline_stages: STAGES", f"pipeline_stages:\n{indented}"))
    (job,) = load(path, environ={}).logs.scrape_configs
    return (("cri", job.pipeline_stages[0].chosen[1]),) if job.cri else job.stages


def run(vector, stages):
    clock = SystemClock()
    program = Program(
        stages, Job("job", clock, CustomMetrics(Telemetry().registry, clock), lambda _: None, values_wanted=True)
    )
    out: list[Entry] = []
    pipeline = program.pipeline(out.append, Tally())
    for line in vector["lines"]:
        pipeline.way.now_s = clock.monotonic()
        pipeline.way.begin(1, 0, (line["line"].encode(),))
        pipeline.push(Entry(program.job.sets.of(line["labels"]), line["ts_ns"], line["line"].encode()))
    pipeline.flush()
    return out


def shown(entry: Entry):
    return {
        "line": entry.line.decode(),
        "labels": dict(entry.labels.mapping),
        "metadata": sorted(list(pair) for pair in entry.metadata),
        "ts_ns": entry.ts_ns,
        "extracted": {name: text_of(value) for name, value in entry.extracted.items()},
    }


def expected(out):
    extracted = {
        name: text_of(float(value) if isinstance(value, int) and not isinstance(value, bool) else value)
        for name, value in out["extracted"].items()
    }
    return {name: out[name] for name in ("line", "labels", "ts_ns")} | {
        "metadata": sorted(out["metadata"]),
        "extracted": extracted,
    }


def key(row):
    return json.dumps(row, sort_keys=True)


@pytest.mark.parametrize("vector", [one for one in VECTORS if not one.get("error")], ids=lambda one: one["name"])
def test_what_comes_out_is_what_promtail_gives(vector, tmp_path):
    found = [shown(entry) for entry in run(vector, stages_of(vector["stages"], tmp_path))]
    wanted = [expected(out) for out in vector["out"]]
    # Streams that are flushed at the end come in any order.
    assert sorted(found, key=key) == sorted(wanted, key=key)


@pytest.mark.parametrize("vector", [one for one in VECTORS if one.get("error")], ids=lambda one: one["name"])
def test_what_promtail_refuses_is_refused(vector, tmp_path):
    with pytest.raises(ConfigError):
        stages_of(vector["stages"], tmp_path)
