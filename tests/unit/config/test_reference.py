"""docs/configuration.md says what the code does, and every key of Prometheus has its class."""

from __future__ import annotations

import re

import pytest
import yaml

from pipeline.config.http import HttpClientConfig
from pipeline.config.keys import key_of
from pipeline.config.load import load
from pipeline.config.meanings import MEANINGS
from pipeline.config.promtail import PromtailConfig, PromtailGlobal
from pipeline.config.reference import PAGE, SECTIONS, page, sections_within
from pipeline.config.remote_write import MetadataConfig, QueueConfig, RemoteWriteConfig
from pipeline.config.root import Config
from pipeline.config.scrape import GlobalConfig, ScrapeConfig

# Every key of Prometheus 3.15, by its source config/config.go (the service discoveries apart).
PROMETHEUS = {
    Config: "global runtime alerting rule_files scrape_config_files scrape_configs storage tracing remote_write "
    "remote_read otlp",
    GlobalConfig: "scrape_interval scrape_timeout scrape_protocols evaluation_interval rule_query_offset "
    "query_log_file scrape_failure_log_file external_labels body_size_limit sample_limit target_limit label_limit "
    "label_name_length_limit label_value_length_limit keep_dropped_targets metric_name_validation_scheme "
    "metric_name_escaping_scheme scrape_native_histograms convert_classic_histograms_to_nhcb "
    "always_scrape_classic_histograms extra_scrape_metrics",
    ScrapeConfig: "job_name honor_labels honor_timestamps track_timestamps_staleness params scrape_interval "
    "scrape_timeout scrape_protocols fallback_scrape_protocol scrape_native_histograms "
    "always_scrape_classic_histograms convert_classic_histograms_to_nhcb scrape_failure_log_file metrics_path scheme "
    "enable_compression body_size_limit sample_limit target_limit label_limit label_name_length_limit "
    "label_value_length_limit native_histogram_bucket_limit native_histogram_min_bucket_factor keep_dropped_targets "
    "metric_name_validation_scheme metric_name_escaping_scheme extra_scrape_metrics relabel_configs "
    "metric_relabel_configs static_configs file_sd_configs basic_auth authorization oauth2 bearer_token "
    "bearer_token_file tls_config follow_redirects enable_http2 proxy_url no_proxy proxy_from_environment "
    "proxy_connect_header http_headers",
    RemoteWriteConfig: "url remote_timeout headers write_relabel_configs name send_exemplars send_native_histograms "
    "round_robin_dns protobuf_message failed_request_logging queue_config metadata_config sigv4 azuread google_iam "
    "basic_auth authorization oauth2 bearer_token bearer_token_file tls_config follow_redirects enable_http2 proxy_url "
    "no_proxy proxy_from_environment proxy_connect_header http_headers",
    QueueConfig: "capacity max_shards min_shards max_samples_per_send batch_send_deadline min_backoff max_backoff "
    "retry_on_http_429 sample_age_limit",
    MetadataConfig: "send send_interval max_samples_per_send",
}


def test_the_page_is_what_the_code_says():
    text = PAGE.read_text()
    assert text == page(text), "run: python -m pipeline.config.reference"


def test_every_section_is_on_the_page():
    shown = {section for _, section in SECTIONS} | {PromtailGlobal}
    assert (sections_within(Config) | sections_within(PromtailConfig)) - shown == set()


def test_every_key_has_a_meaning_and_every_meaning_a_key():
    for section, meanings in MEANINGS.items():
        shared = set() if section is HttpClientConfig else set(HttpClientConfig.model_fields)
        keys = {key_of(name, field) for name, field in section.model_fields.items()}
        own = keys - shared if issubclass(section, HttpClientConfig) else keys
        assert set(meanings) == own, section


@pytest.mark.parametrize("section", PROMETHEUS, ids=lambda section: section.__name__)
def test_every_key_of_prometheus_has_its_class(section):
    known = {key_of(name, field) for name, field in section.model_fields.items()} | set(section.FOREIGN)
    assert set(PROMETHEUS[section].split()) - known == set()


def test_no_key_is_both_acted_on_and_foreign():
    for section in sections_within(Config) | sections_within(PromtailConfig):
        keys = {key_of(name, field) for name, field in section.model_fields.items()}
        assert keys & set(section.FOREIGN) == set(), section


def test_the_examples_of_the_page_load(tmp_path):
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 2
    for text in examples:
        path = tmp_path / "example.yml"
        path.write_text(text)
        config = load(path, environ={"KAFKA_HOST": "kafka"})
        assert config.kafka.brokers
        assert config.notes == ()
        assert set(yaml.safe_load(text)) <= {key_of(name, field) for name, field in Config.model_fields.items()}
