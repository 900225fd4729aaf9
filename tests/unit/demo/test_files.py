"""The generated files are real ones: headrace reads them as they are."""

from __future__ import annotations

import json
from types import SimpleNamespace

from pipeline.config.backends import backends
from pipeline.config.load import load
from pipeline.demo.files import Files


def test_the_generated_files_load_without_a_word(tmp_path):
    folder = tmp_path / "a folder: with #signs"
    files = Files(folder)
    files.write_prometheus(
        [("sink-a", "http://127.0.0.1:1/api/v1/write"), ("sink-b", "http://127.0.0.1:2/api/v1/write")]
    )
    files.write_promtail("http://127.0.0.1:1/loki/api/v1/push")
    config = load(files.prometheus, promtail_file=files.promtail, environ={})
    assert [backend.name for backend in backends(config)] == ["sink-a", "sink-b", "logs"]
    (job,) = config.scrape_configs
    assert (job.job_name, job.metrics_path, job.scrape_interval) == ("envoy", "/stats/prometheus", 1.0)
    assert [str(name) for name in job.file_sd_configs[0].files] == [str(files.targets)]
    (logs,) = config.logs.scrape_configs
    assert logs.static_configs[0].labels["__path__"] == str(files.pods / "*/*/*.log")
    assert logs.cri


def test_targets_are_those_of_the_envoys_with_their_pods(tmp_path):
    files = Files(tmp_path)
    envoy = SimpleNamespace(admin="127.0.0.1:5", namespace="shop", pod="cart")
    files.write_targets([envoy])  # type: ignore[list-item]
    assert json.loads(files.targets.read_text()) == [
        {"targets": ["127.0.0.1:5"], "labels": {"namespace": "shop", "pod": "cart"}}
    ]
    files.write_targets([])
    assert json.loads(files.targets.read_text()) == []
