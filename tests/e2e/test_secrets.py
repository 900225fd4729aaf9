"""One word stands for every secret of a configuration: afterwards no log, page, metric or file of ours has it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from tests.support.kafka import KafkaPeer

pytestmark = pytest.mark.kafka

SECRET = "canary-7d1f0c"
PAGES = ("/", "/targets", "/config", "/metrics", "/api/v1/status", "/-/ready")
ROLE_PAGES = ("/config", "/metrics", "/api/v1/status", "/-/ready")


def config_of(refusing: str, folder: Path) -> dict[str, Any]:
    """Every way to give a secret, to backends that refuse, are dead, unknown, of a wrong scheme; and to a target."""
    address = refusing.removeprefix("http://")
    ways: dict[str, dict[str, Any]] = {
        "basic": {"basic_auth": {"username": "u", "password": SECRET}},
        "file": {"basic_auth": {"username": "u", "password_file": str(folder / "secret")}},
        "bearer": {"bearer_token": SECRET},
        "authorization": {"authorization": {"credentials": SECRET}},
        "headers": {"headers": {"X-Key": SECRET}},
        "more": {"http_headers": {"X-Key": {"secrets": [SECRET]}}},
        "oauth2": {
            "oauth2": {
                "client_id": "u",
                "client_secret": SECRET,
                "token_url": f"http://u:{SECRET}@{address}/token?key={SECRET}",
                "endpoint_params": {"key": SECRET},
            }
        },
        "assertion": {
            "oauth2": {
                "client_id": "u",
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "client_certificate_key": SECRET,
                "token_url": f"{refusing}/token",
            }
        },
    }
    remote_write = [{"name": name, "url": f"{refusing}/api/v1/write", **way} for name, way in ways.items()]
    remote_write += [
        {"name": "inurl", "url": f"http://u:{SECRET}@{address}/api/v1/write?token={SECRET}"},
        {"name": "dead", "url": f"http://u:{SECRET}@127.0.0.1:1/w?token={SECRET}"},
        {"name": "nohost", "url": f"http://u:{SECRET}@no-such-host.invalid/w?token={SECRET}"},
        {"name": "noscheme", "url": f"gopher://u:{SECRET}@127.0.0.1/w?token={SECRET}"},
        {"name": "tls", "url": f"https://u:{SECRET}@{address}/w", "tls_config": {"insecure_skip_verify": True}},
        {"name": "key", "url": f"https://{address}/w", "tls_config": {"cert": "c", "key": SECRET}},
        {
            "name": "tunnel",
            "url": f"https://{address}/x",
            "proxy_url": f"http://u:{SECRET}@{address}",
            "proxy_connect_header": {"X-Key": [SECRET]},
        },
    ]
    return {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "topics": {"partitions": 2},
        "scrape_configs": [
            {
                "job_name": "refused",
                "static_configs": [{"targets": [address]}],
                "metrics_path": "/no-such-page",
                "basic_auth": {"username": "u", "password": SECRET},
                "proxy_url": f"http://u:{SECRET}@127.0.0.1:1",
            }
        ],
        "remote_write": remote_write,
    }


def reason_of(run: Headrace, name: str) -> Any:
    return run.status().get("roles", {}).get(f"agent:{name}", {}).get("status", {}).get("state_reason")


def text_of(run: Headrace, path: str) -> str:
    status, text = run.get(path)
    assert status == 200 or path.endswith("/-/ready"), (path, status)
    assert text, path
    return text


def test_no_secret_of_the_configuration_is_ever_shown(tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    data = tmp_path / "data"
    with Headrace("sink", "--fail.status=401") as refusing:
        made = config_of(refusing.web, tmp_path)
        (tmp_path / "headrace.yml").write_text(json.dumps(made))
        flags = (f"--config.file={tmp_path / 'headrace.yml'}", f"--storage.path={data}", "--log.level=debug")
        with Headrace("run", *flags, f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={kafka_prefix}") as run:
            run.wait_ready(timeout_s=180)
            for backend in made["remote_write"]:
                wait_for(f"why {backend['name']}", partial(reason_of, run, backend["name"]), timeout_s=120)
            run.post("/-/reload")
            shown = {path: text_of(run, path) for path in PAGES}
            for role in run.status()["roles"]:
                shown |= {f"{role}{path}": text_of(run, f"/roles/{role}{path}") for path in ROLE_PAGES}
            assert "<secret>" in shown["/config"], "the page is the one that could show it"
            assert run.stop() == 0
            shown["the log"] = run.log_text
    shown |= {str(file): file.read_bytes().decode(errors="replace") for file in data.rglob("*") if file.is_file()}
    assert [where for where, text in shown.items() if SECRET in text] == []
