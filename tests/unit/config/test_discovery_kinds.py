"""What the settings of each kind of discovery mean."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pipeline.config.load import load
from pipeline.config.render import rendered
from pipeline.config.root import Config
from pipeline.config.sd.consul import ConsulSDConfig
from pipeline.config.sd.dns import DnsSDConfig
from pipeline.config.sd.ec2 import Ec2SDConfig
from pipeline.config.sd.http import HttpSDConfig
from topics.errors import ConfigError

DATA = Path("tests/data/config").absolute()


@pytest.fixture(scope="module")
def config() -> Config:
    return load(DATA / "discovery.good.yml", environ={})


def test_http_defaults_and_keys(config: Config) -> None:
    plain, full = config.scrape_configs[0].http_sd_configs  # type: ignore[attr-defined]
    assert plain == HttpSDConfig(url="http://h:8080/targets?env=prod", refresh_interval=60.0)
    assert (full.refresh_interval, full.tls_config.ca_file) == (300.0, str(DATA / "ca.pem"))
    assert full.authorization.credentials.reveal() == "hunter2"


def test_dns_defaults_and_keys(config: Config) -> None:
    plain, full = config.scrape_configs[0].dns_sd_configs  # type: ignore[attr-defined]
    assert plain == DnsSDConfig(names=("_x._tcp.example", "y.example"), type="SRV", port=0, refresh_interval=30.0)
    assert full == DnsSDConfig(names=("z.example",), type="AAAA", port=9100, refresh_interval=10.0)


def test_consul_defaults_and_keys(config: Config) -> None:
    plain, full, older = config.scrape_configs[0].consul_sd_configs  # type: ignore[attr-defined]
    assert (plain.server, plain.scheme, plain.tag_separator, plain.allow_stale) == ("localhost:8500", "http", ",", True)
    assert plain.refresh_interval == 30.0
    assert isinstance(full, ConsulSDConfig)
    assert (full.server, full.scheme, full.path_prefix) == ("consul.example:8501", "https", "/consul")
    assert (full.datacenter, full.namespace, full.partition, full.tag_separator) == ("dc2", "ns", "part", "|")
    assert (full.services, full.tags, full.node_meta) == (("web", "db"), ("prod", "1"), {"rack": "7"})
    assert (full.filter, full.health_filter) == ("ServiceMeta.a == b", "Service.Port > 1")
    assert (full.allow_stale, full.refresh_interval) == (False, 60.0)
    assert full.http.basic_auth is None
    assert older.http.basic_auth.username == "u"
    assert older.http.basic_auth.password.reveal() == "hunter2"


def test_ec2_defaults_and_keys(config: Config) -> None:
    plain, full = config.scrape_configs[0].ec2_sd_configs  # type: ignore[attr-defined]
    assert isinstance(full, Ec2SDConfig)
    assert (plain.port, plain.refresh_interval, plain.region, plain.filters) == (80, 60.0, "", ())
    assert (full.region, full.endpoint, full.profile) == ("eu-west-1", "https://ec2.example", "p")
    assert (full.access_key, full.role_arn, full.external_id) == ("AKIA", "arn:aws:iam::1:role/r", "x")
    assert [(one.name, one.values) for one in full.filters] == [("tag:env", ("prod", "test"))]
    assert [note.message for note in config.notes] == ["requests to AWS are signed; this key is not used"]


def test_log_jobs_have_them_too(config: Config) -> None:
    [job] = config.logs.scrape_configs
    assert job.file_sd_configs[0].files == (str(DATA / "logs/*.yml"),)
    assert job.http_sd_configs[0].url == "http://h/logs"  # type: ignore[attr-defined]


def test_no_secret_is_shown(config: Config) -> None:
    assert "hunter2" not in rendered(config) + repr(config)


def test_ec2_without_its_library_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "botocore" else there(name))
    path = tmp_path / "c.yml"
    path.write_text("scrape_configs:\n- job_name: j\n  ec2_sd_configs:\n  - region: eu-west-1\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert [(problem.message, problem.remedy) for problem in caught.value.problems] == [
        ("the AWS client is not installed", "pip install 'headrace[ec2]'")
    ]


def test_what_the_aws_client_is_not_told_is_said(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    keys = "region: r, follow_redirects: false, no_proxy: h, proxy_url: 'http://p'"
    tls = "tls_config: {ca_file: a, server_name: x}"
    path.write_text(f"scrape_configs:\n- job_name: j\n  ec2_sd_configs:\n  - {{{keys}, {tls}}}\n")
    notes = {(note.path.rpartition("ec2_sd_configs[0].")[2], note.message) for note in load(path, environ={}).notes}
    assert notes >= {
        ("no_proxy", "the AWS client goes by its own rules here; this key is not used"),
        ("follow_redirects", "the AWS client goes by its own rules here; this key is not used"),
        ("tls_config.server_name", "the AWS client does not take this key; it is not used"),
    }
    assert not {where for where, _ in notes} & {"proxy_url", "tls_config.ca_file", "region"}
