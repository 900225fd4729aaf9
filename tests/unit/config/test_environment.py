"""Where `${NAME}` expands, and where it does not."""

from __future__ import annotations

import pytest
from pydantic_core import PydanticCustomError

from pipeline.config.environment import expand
from pipeline.config.load import load
from topics.errors import ConfigError

ENVIRON = {"HOST": "h", "EMPTY": "", "SECRET": "hunter2"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("http://${HOST}:80", "http://h:80"),
        ("${HOST}${HOST}", "hh"),
        ("${NONE:-x}", "x"),
        ("${NONE:-}", ""),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("${NONE:-http://a:1/b-c}", "http://a:1/b-c"),
        ("$HOST $$ $1 pa$$word", "$HOST $$ $1 pa$$word"),
        ("$${HOST}", "${HOST}"),
        ("$", "$"),
        ("", ""),
    ],
)
def test_references_expand_and_nothing_else(text, expanded):
    assert expand(text, ENVIRON) == expanded


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$HOST", "h"),
        ("${HOST}", "h"),
        ("a$$b", "a$b"),
        ("$$HOST", "$HOST"),
        ("$HOST-1", "h-1"),
        ("$1", "$1"),
        ("$", "$"),
    ],
)
def test_external_labels_expand_as_in_prometheus(text, expanded):
    assert expand(text, ENVIRON, label=True) == expanded


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${A-b}", "${A", "${A:b}", "a${ HOST }"])
def test_a_malformed_reference_is_refused(text):
    with pytest.raises(PydanticCustomError):
        expand(text, ENVIRON)


def test_an_unset_variable_is_named():
    with pytest.raises(PydanticCustomError, match="environment variable NONE is not set"):
        expand("${NONE}", ENVIRON)


def test_expansion_is_not_repeated():
    assert expand("${A}", {"A": "${B}", "B": "x"}) == "${B}"


@pytest.mark.parametrize("text", ["${B}", '["${B}"]', "a:1, b:2", "[a:1, 'b:2']", '["${B:-x}"]'])
def test_brokers_may_come_as_a_list_or_with_commas_from_a_variable(text, tmp_path):
    path = tmp_path / "c.yml"
    path.write_text(f"kafka:\n  brokers: {text}\n")
    assert load(path, environ={"B": "a:1,b:2"}).kafka.brokers == ("a:1", "b:2")


def test_an_unset_variable_in_a_list_of_brokers_is_told_by_its_place(tmp_path):
    path = tmp_path / "c.yml"
    path.write_text("kafka:\n  brokers:\n  - a:1\n  - ${NONE}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [(4, "kafka.brokers[1]")]


EXPANDED = """
global: {external_labels: {a: "${V}"}}
scrape_configs:
- job_name: "${V}"
  metrics_path: /${V}
  params: {p: ["${V}"]}
  static_configs: [{targets: ["${V}"], labels: {l: "${V}"}}]
  basic_auth: {username: "${V}", password: "${V}"}
  relabel_configs: [{target_label: t, replacement: "${V}"}]
  tls_config: {server_name: "${V}", ca_file: "/${V}"}
  http_headers: {H: {values: ["${V}"]}}
  proxy_url: http://${V}
remote_write:
- url: http://${V}/w
  name: v
  headers: {H: "${V}"}
  bearer_token: "${V}"
logs:
  clients: [{url: "http://${V}/l", name: l, tenant_id: "${V}", external_labels: {a: "${V}"}}]
kafka: {brokers: ["${V}:1"], prefix: "${V}."}
"""


def test_it_expands_in_urls_headers_auth_tls_labels_and_kafka_alone(tmp_path):
    path = tmp_path / "c.yml"
    path.write_text(EXPANDED)
    config = load(path, environ={"V": "x"})
    job, remote, client = config.scrape_configs[0], config.remote_write[0], config.logs.clients[0]
    assert config.global_.external_labels == {"a": "x"}
    assert (job.basic_auth.username, job.basic_auth.password.reveal()) == ("x", "x")
    assert (job.tls_config.server_name, job.tls_config.ca_file, job.proxy_url) == ("x", "/x", "http://x")
    assert job.http_headers["H"].values == ("x",)
    assert (remote.url, remote.headers["H"].reveal(), remote.bearer_token.reveal()) == ("http://x/w", "x", "x")
    assert (client.url, client.tenant_id, client.external_labels) == ("http://x/l", "x", {"a": "x"})
    assert (config.kafka.brokers, config.kafka.prefix) == (("x:1",), "x.")
    assert (job.job_name, job.metrics_path, job.params) == ("${V}", "/${V}", {"p": ("${V}",)})
    assert (job.static_configs[0].targets, job.static_configs[0].labels) == (("${V}",), {"l": "${V}"})
    assert job.relabel_configs[0].replacement == "${V}"


def test_what_a_variable_holds_is_not_in_the_message(tmp_path):
    path = tmp_path / "c.yml"
    path.write_text("remote_write: [{url: '${SECRET}'}]\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ=ENVIRON)
    assert "not a URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
