"""`headrace check config`: what it prints, where, and its exit code."""

from __future__ import annotations

from click.testing import CliRunner

from pipeline.cli.check import command

FILE = "tests/data/config/{}"


def _run(*arguments):
    return CliRunner().invoke(command, ["config", *arguments])


def test_a_good_file_exits_zero_with_a_summary():
    result = _run(FILE.format("getting_started.good.yml"))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Checking tests/data/config/getting_started.good.yml"
    assert "  1 scrape job: prometheus" in result.stdout
    assert "  no backends: data would stay in Kafka" in result.stdout
    assert result.stdout.splitlines()[-1] == "  SUCCESS: the configuration is valid"


def test_warnings_go_to_stderr_and_do_not_fail():
    result = _run(FILE.format("getting_started.good.yml"))
    assert "WARNING: tests/data/config/getting_started.good.yml:9: alerting: headrace raises no alerts" in result.stderr


def test_a_bad_file_exits_two_with_every_problem():
    result = _run(FILE.format("topics.bad.yml"))
    assert result.exit_code == 2
    assert "FAILED: 4 problems" in result.stderr
    assert result.stderr.count("tests/data/config/topics.bad.yml:") == 4
    assert "SUCCESS" not in result.output


def test_prometheus_keys_of_later_days_are_refused_in_words():
    result = _run(FILE.format("not_yet.bad.yml"))
    assert result.exit_code == 2
    words = "scrape_configs[0].nomad_sd_configs: Prometheus knows this key, headrace does not act on it yet"
    assert words in result.stderr


def test_a_promtail_file_is_checked_along(monkeypatch):
    result = _run(FILE.format("empty.good.yml"), f"--promtail.config-file={FILE.format('promtail/promtail.good.yml')}")
    assert result.exit_code == 0
    assert "2 log jobs: system, pods" in result.stdout
    assert "backend loki-" in result.stdout


def test_a_missing_file_exits_two():
    result = _run("absent.yml")
    assert result.exit_code == 2
    assert "absent.yml: cannot be read: No such file or directory" in result.stderr
