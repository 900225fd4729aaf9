"""No secret of a configuration is shown by what reads it: not rendered, not in errors, not by `check config`."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli.check import command
from pipeline.config.http import HttpClientConfig
from pipeline.config.keys import key_of, shape
from pipeline.config.load import load
from pipeline.config.render import rendered
from pipeline.config.units import Secret

WORD = "canary-7d1f0c"
WAYS: dict[str, dict[str, Any]] = {
    "basic": {"basic_auth": {"username": "u", "password": WORD}},
    "authorization": {"authorization": {"credentials": WORD}},
    "bearer": {"bearer_token": WORD},
    "oauth2": {
        "oauth2": {
            "client_id": "u",
            "client_secret": WORD,
            "client_certificate_key": WORD,
            "token_url": f"http://u:{WORD}@h/token?key={WORD}",
            "endpoint_params": {"p": WORD},
            "proxy_url": f"http://u:{WORD}@p",
            "proxy_connect_header": {"X-Key": [WORD]},
            "tls_config": {"cert": "c", "key": WORD},
        }
    },
    "rest": {
        "tls_config": {"cert": "c", "key": WORD},
        "proxy_url": f"http://u:{WORD}@p",
        "proxy_connect_header": {"X-Key": [WORD]},
        "http_headers": {"X-Key": {"secrets": [WORD]}},
    },
}


def config(**more: Any) -> dict[str, Any]:
    """Jobs, discoveries and backends with each way."""
    jobs = [{"job_name": name, **way, **more} for name, way in WAYS.items()]
    jobs += [{"job_name": f"sd-{name}", "http_sd_configs": [{"url": "http://h", **way}]} for name, way in WAYS.items()]
    return {"scrape_configs": jobs, "remote_write": [{"url": f"http://h/{name}", **way} for name, way in WAYS.items()]}


def secret_keys(section: Any, path: str = "") -> set[str]:
    """The key path of every field of a section that holds secrets."""
    found = set()
    for name, field in section.model_fields.items():
        key = f"{path}{key_of(name, field)}"
        inner = shape(field)
        if inner is not None:
            found |= secret_keys(inner[1], f"{key}.")
        elif _holds(field.annotation):
            found.add(key)
    return found


def _holds(annotation: Any) -> bool:
    return annotation is Secret or any(_holds(part) for part in typing.get_args(annotation))


def written(value: Any, path: str = "") -> set[str]:
    """The key paths at which the word stands."""
    if isinstance(value, dict):
        return set().union(*(written(item, f"{path}.{key}") for key, item in value.items()))
    if isinstance(value, list):
        return set().union(*(written(item, path) for item in value))
    return {path.lstrip(".")} if WORD in str(value) else set()


def test_the_word_stands_at_every_key_that_holds_a_secret():
    tried = set().union(*(written(way) for way in WAYS.values()))
    below = {key.removesuffix(".X-Key").removesuffix(".p").replace(".X-Key.", ".") for key in tried}
    assert secret_keys(HttpClientConfig) - below == set()
    assert len(secret_keys(HttpClientConfig)) >= 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.yml"


def test_the_page_and_the_repr_show_none(path):
    path.write_text(yaml.safe_dump(config()))
    read = load(path, environ={})
    assert WORD not in rendered(read)
    assert WORD not in repr(read)
    assert rendered(read).count("<secret>") > 20


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"sample_limit": "many"},
        {"bearer_token_file": "gone"},
        {"oauth2": {"client_secret": WORD, "client_secret_file": "f"}},
        {"oauth2": {"client_id": "a", "token_url": f"no url {WORD}"}},
        {"proxy_url": f"socks5://u:{WORD}@h"},
        {"proxy_url": f"no url {WORD}"},
        {"tls_config": {"key": WORD}},
        {"http_headers": {"X": {"secrets": [f"{WORD}\nX: y"]}}},
        {"http_headers": {"X": {"secrets": {"a": WORD}}}},
        {"proxy_connect_header": {"X": WORD}},
    ],
)
def test_checking_shows_none_whatever_is_wrong(path, more):
    path.write_text(yaml.safe_dump(config(**more)))
    done = CliRunner().invoke(command, ["config", str(path)])
    assert done.exit_code == (2 if more else 0), done.output
    assert WORD not in done.output
