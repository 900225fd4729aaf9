"""Files and environment → Config."""

from __future__ import annotations

import pytest

from pipeline.config.load import load
from topics.errors import ConfigError


def test_a_small_prometheus_file_loads(tmp_path):
    path = tmp_path / "prometheus.yml"
    path.write_text(
        "global: {scrape_interval: 5s}\n"
        "scrape_configs:\n"
        "- job_name: a\n"
        "  static_configs: [{targets: ['localhost:9090'], labels: {on: yes}}]\n"
        "- {job_name: b, scrape_interval: 1m}\n"
        "remote_write: [{url: 'http://h/api/v1/write'}]\n"
    )
    config = load(path, environ={})
    assert [(job.scrape_interval, job.scrape_timeout) for job in config.scrape_configs] == [(5.0, 5.0), (60.0, 5.0)]
    assert config.scrape_configs[0].static_configs[0].labels == {"on": "yes"}
    assert config.remote_write[0].name == "rw-fe7d7e"


def test_all_problems_come_at_once_with_file_line_and_path(tmp_path):
    path = tmp_path / "bad.yml"
    path.write_text("global: {scrape_intervl: 5s}\nscrape_configs:\n- job_name: a\n  scrape_interval: 5x\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (1, "global.scrape_intervl"),
        (4, "scrape_configs[0].scrape_interval"),
    ]
