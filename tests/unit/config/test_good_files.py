"""What good files mean."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.config.load import load
from pipeline.config.render import rendered
from topics.errors import ConfigError

DATA = Path("tests/data/config").absolute()
ENVIRON = {"REPLICA": "r0", "TENANT": "team-a", "TOKEN": "hunter2", "KAFKA_PASSWORD": "hunter2"}


@pytest.fixture(scope="module")
def prometheus():
    return load(DATA / "prometheus.good.yml", environ=ENVIRON)


@pytest.fixture(scope="module")
def headrace():
    return load(DATA / "headrace.good.yml", environ=ENVIRON)


def test_an_empty_file_is_all_defaults():
    config = load(DATA / "empty.good.yml", environ={})
    assert config.global_.scrape_interval == 60.0
    assert config.global_.scrape_timeout == 10.0
    assert (config.scrape_configs, config.remote_write, config.logs.clients, config.kafka.brokers) == ((), (), (), ())
    assert (config.topics.partitions, config.topics.retention, config.topics.max_message_bytes) == (12, 604800.0, 2**22)
    assert (config.producer.record_bytes, config.producer.linger, config.producer.spool_bytes) == (2**17, 0.5, 2**28)


def test_prometheus_first_steps_work_unchanged():
    config = load(DATA / "getting_started.good.yml", environ={})
    (job,) = config.scrape_configs
    assert (job.job_name, job.scrape_interval, job.scrape_timeout) == ("prometheus", 5.0, 5.0)
    assert config.global_.external_labels == {"monitor": "codelab-monitor"}
    assert [note.path for note in config.notes] == ["global.evaluation_interval", "alerting"]


def test_a_vendors_snippet_for_a_mesh_works_unchanged():
    config = load(DATA / "option_a.good.yml", environ={})
    (job,) = config.scrape_configs
    assert [one.role for one in job.kubernetes_sd_configs] == ["pod"]
    assert config.remote_write[0].headers["X-Scope-OrgID"].reveal() == "<tenant-id>"
    assert config.notes == ()


def test_a_file_installed_by_debian_works_unchanged():
    path = Path("/etc/prometheus/prometheus.yml")
    if not path.exists():
        pytest.skip("Debian's prometheus is not installed")
    assert [job.job_name for job in load(path, environ={}).scrape_configs] == ["prometheus", "node"]


def test_global_values_reach_the_jobs(prometheus):
    first, second = prometheus.scrape_configs
    assert (first.scrape_interval, first.scrape_timeout) == (15.0, 10.0)
    assert first.scrape_protocols == ("PrometheusProto", "OpenMetricsText1.0.0", "PrometheusText0.0.4")
    assert (second.scrape_interval, second.scrape_timeout) == (5400.0, 10.0)


def test_prometheus_defaults_of_a_job(prometheus):
    job = prometheus.scrape_configs[0]
    assert (job.metrics_path, job.scheme, job.params) == ("/metrics", "http", {})
    assert (job.honor_labels, job.honor_timestamps, job.track_timestamps_staleness) == (False, True, False)
    assert (job.enable_compression, job.follow_redirects, job.enable_http2) == (True, True, True)
    assert (job.basic_auth, job.authorization, job.proxy_url) == (None, None, None)
    assert job.tls_config.insecure_skip_verify is False
    assert job.static_configs[0].targets == ("localhost:9090",)


def test_every_key_of_a_job_is_read(prometheus):
    job = prometheus.scrape_configs[1]
    assert (job.honor_labels, job.honor_timestamps, job.track_timestamps_staleness) == (True, False, True)
    assert (job.metrics_path, job.scheme, job.fallback_scrape_protocol) == ("/probe", "https", "PrometheusText0.0.4")
    assert (job.enable_compression, job.follow_redirects, job.enable_http2) == (False, False, False)
    assert job.file_sd_configs[0].refresh_interval == 60.0
    assert job.file_sd_configs[1].refresh_interval == 300.0


def test_texts_keep_their_spelling(prometheus):
    """Where Go decodes into a string, YAML 1.1's booleans, octals and nulls are what was written."""
    job = prometheus.scrape_configs[1]
    assert job.params == {"module": ("http_2xx",), "on": ("yes", "010")}
    assert job.static_configs[0].labels == {"on": "yes", "code": "0x1F", "empty": ""}


def test_relative_paths_start_from_the_folder_of_the_file(prometheus):
    job = prometheus.scrape_configs[1]
    assert job.file_sd_configs[0].files == (str(DATA / "targets/*.json"), "/etc/targets/extra.yml")
    assert job.basic_auth.password_file == str(DATA / "secrets/node.txt")
    assert (job.tls_config.ca_file, job.tls_config.key_file) == ("/etc/ssl/ca.pem", str(DATA / "client-key.pem"))
    assert job.http_headers["X-Tenant"].files == (str(DATA / "three.txt"),)


def test_relabel_rules_are_built_and_keep_their_dollars(prometheus):
    job = prometheus.scrape_configs[1]
    host, shard, keep = job.relabel_configs
    assert (host.regex.text, host.replacement, host.action) == (r"(.*):\d+", "${1}", "replace")
    assert (shard.modulus, shard.separator) == (4, ";")
    assert keep.regex.text == "2"
    (drop,) = job.metric_relabel_configs
    assert (drop.action, drop.separator) == ("drop", "")


def test_external_labels_expand_as_in_prometheus(prometheus):
    expected = {"region": "eu-north", "replica": "r0", "host": "unknown", "price": "$5"}
    assert prometheus.global_.external_labels == expected


def test_remote_write_is_read(prometheus):
    mimir, other = prometheus.remote_write
    assert (mimir.name, mimir.remote_timeout) == ("mimir", 10.0)
    assert mimir.headers["X-Scope-OrgID"].reveal() == "team-a"
    assert mimir.authorization.type == "Bearer"
    assert mimir.authorization.credentials.reveal() == "hunter2"
    assert mimir.write_relabel_configs[0].action == "labeldrop"
    queue = mimir.queue_config
    assert (queue.max_samples_per_send, queue.batch_send_deadline, queue.min_backoff) == (5000, 1.0, 0.1)
    assert (other.queue_config.max_samples_per_send, other.queue_config.max_backoff) == (None, 5.0)
    assert (other.remote_timeout, other.enable_http2, other.follow_redirects) == (30.0, False, True)


def test_a_password_of_an_existing_file_stays_what_it_is(prometheus):
    assert prometheus.remote_write[1].basic_auth.password.reveal() == "pa$$word$1"


def test_a_servers_own_sections_are_warned_of(prometheus):
    assert [(note.line, note.path) for note in prometheus.notes] == [
        (6, "global.evaluation_interval"),
        (7, "global.rule_query_offset"),
        (8, "global.query_log_file"),
        (19, "runtime"),
        (22, "rule_files"),
        (25, "alerting"),
        (102, "remote_write[0].queue_config.batch_send_deadline"),
        (105, "remote_write[0].queue_config.retry_on_http_429"),
        (117, "remote_read"),
        (120, "storage"),
        (124, "tracing"),
        (127, "otlp"),
    ]
    words = {note.path: note.message for note in prometheus.notes}
    assert words["rule_files"] == "headrace does not evaluate rules; keep them in your Prometheus"


@pytest.mark.parametrize("name", ["prometheus", "headrace"])
def test_secrets_show_nowhere(name):
    config = load(DATA / f"{name}.good.yml", environ=ENVIRON)
    for text in (rendered(config), repr(config), str(config), config.model_dump_json(), *map(str, config.notes)):
        for secret in ("hunter2", "pa$$word", "team-a", "two"):
            assert f"'{secret}" not in text
            assert f"={secret}" not in text
            assert f": {secret}" not in text
            assert f":{secret}" not in text


def test_rendered_shows_what_is_in_force(prometheus):
    text = rendered(prometheus)
    assert "url: https://<secret>@vm.example.com/api/v1/write?token=<secret>" in text
    assert "scrape_interval: 1h30m" in text
    assert "password: <secret>" in text
    assert "regex: (.*):\\d+" in text
    assert "replacement: ${1}" in text


def test_rendered_without_secrets_loads_again(tmp_path):
    """What /config shows is a file: the same but for its secrets."""
    first = load(DATA / "anchors.good.yml", environ={})
    again = tmp_path / "again.yml"
    again.write_text(rendered(first))
    assert rendered(load(again, environ={})) == rendered(first)


def test_anchors_and_merge_keys():
    a, b, c = load(DATA / "anchors.good.yml", environ={}).scrape_configs
    assert [(job.job_name, job.scrape_interval, job.metrics_path) for job in (a, b, c)] == [
        ("a", 7.0, "/metrics"),
        ("b", 7.0, "/metrics"),
        ("c", 7.0, "/m"),
    ]


def test_scrape_config_files_are_read_with_this_files_defaults():
    here, there = load(DATA / "scrape_files.good.yml", environ={}).scrape_configs
    assert (here.job_name, here.scrape_interval) == ("here", 20.0)
    assert (there.job_name, there.scrape_interval, there.scrape_timeout) == ("there", 20.0, 3.0)
    assert there.file_sd_configs[0].files == (str(DATA / "scrape_files/targets.json"),)


def test_a_problem_in_a_scrape_config_file_names_that_file(tmp_path):
    (tmp_path / "main.yml").write_text("scrape_config_files: ['jobs*.yml']\nscrape_configs: [{job_name: a}]\n")
    (tmp_path / "jobs1.yml").write_text("scrape_configs:\n- job_name: a\n- job_name: b\n  shceme: http\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "main.yml", environ={})
    where = [(Path(problem.file).name, problem.line, problem.path) for problem in caught.value.problems]
    assert where == [
        ("jobs1.yml", 2, "scrape_configs[0].job_name"),
        ("jobs1.yml", 4, "scrape_configs[1].shceme"),
    ]
    assert 'found multiple scrape configs with job name "a", first found in' in caught.value.problems[0].message


def test_logs_and_our_own_sections(headrace):
    (client,) = headrace.logs.clients
    assert (client.name, client.tenant_id, client.batchwait) == ("loki", "mesh", 0.5)
    assert (client.backoff_config.min_period, client.backoff_config.max_period) == (1.5, 60.0)
    assert (client.batchsize, client.timeout) == (1048576, 10.0)
    pods, plain = headrace.logs.scrape_configs
    assert (pods.cri, plain.cri) == (True, False)
    assert plain.static_configs[0].labels == {"__path__": "/var/log/app.log"}
    assert headrace.logs.positions.filename == "/var/lib/headrace/positions.json"
    kafka, topics, producer = headrace.kafka, headrace.topics, headrace.producer
    assert kafka.brokers == ("kafka-0:9092", "kafka-1:9092")
    assert (kafka.prefix, kafka.sasl_mechanism, kafka.password.reveal()) == (
        "prod.headrace.",
        "SCRAM-SHA-512",
        "hunter2",
    )
    assert kafka.tls_config.ca_file == str(DATA / "ca.pem")
    assert (topics.partitions, topics.retention, topics.survive_outage) == (64, 259200.0, 172800.0)
    assert topics.max_message_bytes == 2**20
    assert (producer.record_bytes, producer.linger, producer.spool_bytes) == (65536, 0.1, 2**30)


def test_a_promtail_file_works_unchanged(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copy(DATA / "promtail/promtail.good.yml", tmp_path / "promtail.yml")
    config = load(DATA / "empty.good.yml", promtail_file=Path("promtail.yml"), environ={})
    system, pods = config.logs.scrape_configs
    assert (system.job_name, system.cri, pods.cri) == ("system", False, True)
    assert pods.relabel_configs[0].target_label == "file"
    (client,) = config.logs.clients
    assert (client.name, client.tenant_id) == ("loki-58f329", "team")
    assert config.logs.positions.filename == "/tmp/positions.yaml"
    assert config.logs.target_config.sync_period == 5.0
    assert config.logs.file_watch_config.max_poll_frequency == 1.0
    assert [note.path for note in config.notes] == [
        "server",
        "clients[0].backoff_config.max_retries",
        "global.file_watch_config.max_poll_frequency",
    ]


def test_relative_paths_of_a_promtail_file_start_from_the_working_directory(monkeypatch, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/promtail.yml").write_text("positions: {filename: positions.yaml}\n")
    monkeypatch.chdir(tmp_path)
    config = load(DATA / "empty.good.yml", promtail_file=Path("etc/promtail.yml"), environ={})
    assert config.logs.positions.filename == str(tmp_path / "positions.yaml")


def test_log_targets_without_a_path_are_warned_of(tmp_path):
    path = tmp_path / "c.yml"
    path.write_text("logs:\n  scrape_configs:\n  - job_name: a\n    static_configs:\n    - labels: {job: a}\n")
    (note,) = load(path, environ={}).notes
    assert (note.line, note.path) == (5, "logs.scrape_configs[0].static_configs[0]")
    assert note.message == "no __path__: no file is read for this"


def test_logs_in_both_files_are_refused(tmp_path):
    (tmp_path / "main.yml").write_text("logs:\n  clients: [{url: 'http://h/x'}]\n")
    (tmp_path / "promtail.yml").write_text("clients: [{url: 'http://h/x'}]\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "main.yml", promtail_file=tmp_path / "promtail.yml", environ={})
    assert "logs are configured here and in" in str(caught.value)


def test_problems_of_both_files_come_at_once(tmp_path):
    (tmp_path / "main.yml").write_text("globl: {}\nremote_write: [{url: 'http://h', name: a}]\n")
    (tmp_path / "promtail.yml").write_text("clients: [{url: 'http://h/x', name: a, timout: 1s}]\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "main.yml", promtail_file=tmp_path / "promtail.yml", environ={})
    assert [(Path(problem.file).name, problem.path) for problem in caught.value.problems] == [
        ("main.yml", "globl"),
        ("promtail.yml", "clients[0].timout"),
        ("promtail.yml", "clients[0].name"),
    ]


def test_an_unknown_scheme_or_host_is_no_error_of_the_file_but_warned_of(tmp_path):
    path = tmp_path / "c.yml"
    path.write_text(
        "remote_write: [{url: 'gopher://no.such.host.invalid/x'}, {url: 'HTTPS://no.such.host.invalid/x'}]\n"
        "logs: {clients: [{url: 'gopher://no.such.host.invalid/x'}]}\n"
    )
    config = load(path, environ={})
    assert config.remote_write[0].url == "gopher://no.such.host.invalid/x"
    assert [note.path for note in config.notes] == ["remote_write[0].url", "logs.clients[0].url"]


def test_a_missing_file_is_a_problem_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yml: cannot be read: No such file or directory \(check the path"):
        load(tmp_path / "absent.yml", environ={})


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "c.yml").write_bytes(b"global: {}\n# \xff\n")
    with pytest.raises(ConfigError, match=r"c\.yml: cannot be read: not UTF-8 text \(save the file as UTF-8\)"):
        load(tmp_path / "c.yml", environ={})


def _jobs(tmp_path, text):
    path = tmp_path / "c.yml"
    path.write_text(text)
    return load(path, environ={}).scrape_configs


def test_limits_and_flags_of_global_reach_the_jobs_that_do_not_say_them(tmp_path):
    jobs = _jobs(
        tmp_path,
        """
global:
  body_size_limit: 1MB
  sample_limit: 5
  keep_dropped_targets: 7
  scrape_native_histograms: true
  extra_scrape_metrics: true
scrape_configs:
- job_name: a
- job_name: b
  body_size_limit: 2MB
  sample_limit: 0
  keep_dropped_targets: 1
  scrape_native_histograms: false
  extra_scrape_metrics: false
""",
    )
    fields = ("body_size_limit", "sample_limit", "keep_dropped_targets", "scrape_native_histograms")
    assert [tuple(getattr(job, field) for field in fields) for job in jobs] == [
        (2**20, 5, 7, True),
        (2**21, 5, 1, False),  # a zero counts as not given, a false does not
    ]
    assert [job.extra_scrape_metrics for job in jobs] == [True, False]


def test_native_histograms_ask_for_protobuf_first_unless_protocols_are_given(tmp_path):
    text = "scrape_configs: [{job_name: a, scrape_native_histograms: true}, {job_name: b}]"
    native, plain = _jobs(tmp_path, text)
    assert native.scrape_protocols == ("PrometheusProto", *plain.scrape_protocols)
    given, own = _jobs(
        tmp_path,
        """
global: {scrape_native_histograms: true, scrape_protocols: [PrometheusText0.0.4]}
scrape_configs: [{job_name: a}, {job_name: b, scrape_protocols: [PrometheusProto]}]
""",
    )
    assert (given.scrape_protocols, own.scrape_protocols) == (("PrometheusText0.0.4",), ("PrometheusProto",))


@pytest.mark.parametrize(
    ("global_", "job", "expected"),
    [
        ("{}", "", ("utf8", "allow-utf-8")),
        ("{metric_name_validation_scheme: legacy}", "", ("legacy", "underscores")),
        ("{metric_name_validation_scheme: legacy}", "metric_name_validation_scheme: utf8", ("utf8", "allow-utf-8")),
        ("{}", "metric_name_validation_scheme: legacy", ("legacy", "underscores")),
        ("{metric_name_escaping_scheme: dots}", "", ("utf8", "dots")),
        ("{metric_name_escaping_scheme: dots}", "metric_name_validation_scheme: utf8", ("utf8", "allow-utf-8")),
        ("{metric_name_escaping_scheme: ''}", "metric_name_escaping_scheme: values", ("utf8", "values")),
        ("{metric_name_validation_scheme: ''}", "metric_name_escaping_scheme: ''", ("utf8", "allow-utf-8")),
    ],
)
def test_schemes_of_names_follow_whoever_gave_the_validation(tmp_path, global_, job, expected):
    (read,) = _jobs(tmp_path, f"global: {global_}\nscrape_configs:\n- job_name: a\n  {job}\n")
    assert (read.metric_name_validation_scheme, read.metric_name_escaping_scheme) == expected


def test_global_reaches_the_jobs_of_other_files(tmp_path):
    (tmp_path / "more.yml").write_text("scrape_configs: [{job_name: far}]")
    text = "global: {sample_limit: 3, metric_name_validation_scheme: legacy}\nscrape_config_files: [more.yml]\n"
    (far,) = _jobs(tmp_path, text)
    assert (far.sample_limit, far.metric_name_escaping_scheme) == (3, "underscores")


def test_the_example_that_comes_with_prometheus_3_loads(tmp_path):
    (job,) = _jobs(
        tmp_path,
        """
global:
  scrape_interval: 15s
  evaluation_interval: 15s
  scrape_native_histograms: true
alerting:
  alertmanagers:
  - static_configs:
    - targets:
rule_files:
scrape_configs:
- job_name: prometheus
  static_configs:
  - targets: [localhost:9090]
    labels: {app: prometheus}
""",
    )
    assert job.scrape_native_histograms


def test_start_timestamps_of_global_are_the_default_of_the_jobs(tmp_path):
    jobs = _jobs(
        tmp_path,
        """
global: {start_timestamps: true}
scrape_configs:
- job_name: a
- job_name: b
  start_timestamps: false
""",
    )
    assert [job.start_timestamps for job in jobs] == [True, False]
