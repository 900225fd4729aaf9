"""The backends of a configuration."""

from __future__ import annotations

import hashlib

import pytest

from pipeline.config.backends import backends
from pipeline.config.http import redacted_url
from pipeline.config.logs import LogsConfig, LokiClientConfig
from pipeline.config.remote_write import RemoteWriteConfig
from pipeline.config.root import Config
from topics.record import Kind


def test_backends_are_metrics_first_in_the_order_of_the_file():
    config = Config(
        remote_write=(RemoteWriteConfig(url="http://b/w", name="b"), RemoteWriteConfig(url="http://a/w", name="a")),
        logs=LogsConfig(clients=(LokiClientConfig(url="http://l/p", name="l"),)),
    )
    found = backends(config)
    assert [(backend.name, backend.kind) for backend in found] == [
        ("b", Kind.METRICS),
        ("a", Kind.METRICS),
        ("l", Kind.LOGS),
    ]
    assert found[2].settings is config.logs.clients[0]


def test_a_default_name_depends_on_the_url_alone():
    """The name is part of the consumer group: it must never change by itself."""
    digest = hashlib.sha256(b"http://h/api/v1/write").hexdigest()[:6]
    assert RemoteWriteConfig(url="http://h/api/v1/write", remote_timeout=1).name == f"rw-{digest}" == "rw-fe7d7e"
    assert LokiClientConfig(url="http://h/api/v1/write").name == "loki-fe7d7e"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:1/w", "http://h:1/w"),
        ("http://u:p@h:1/w", "http://<secret>@h:1/w"),
        ("http://u@h/w?token=x&b=y#z", "http://<secret>@h/w?token=<secret>&b=<secret>"),
        ("http://h/w?justatoken", "http://h/w?<secret>"),
        ("http://[::1/w", "<secret>"),
    ],
)
def test_a_url_for_people_has_no_credentials(url, shown):
    assert redacted_url(url) == shown


def test_a_backend_does_not_show_its_credentials():
    backend = backends(Config(remote_write=(RemoteWriteConfig(url="http://u:hunter2@h/w"),)))[0]
    assert "hunter2" not in repr(backend)
    assert backend.redacted_url == "http://<secret>@h/w"
