"""docs/compatibility.md has a row for every key, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pipeline.config.auth import Authorization, BasicAuth, OAuth2
from pipeline.config.discovery import SD_MECHANISMS
from pipeline.config.http import HttpClientConfig, HttpHeader
from pipeline.config.keys import key_of
from pipeline.config.load import load
from pipeline.config.relabel import RelabelConfig
from pipeline.config.scrape import GlobalConfig, ScrapeConfig
from pipeline.config.sd import KINDS, SECTIONS
from pipeline.config.section import Section
from pipeline.config.tls import TLSConfig
from topics.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/compatibility.md").read_text(encoding="utf-8")
TABLES = {
    title: set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
    for title, text in re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
HTTP = set(HttpClientConfig.model_fields)


def keys(section: type[Section]) -> set[str]:
    """What may stand in a section, but for the keys of HTTP, which have a table of their own."""
    known = {key_of(name, field) for name, field in section.model_fields.items()} | set(section.FOREIGN)
    shared = HTTP if issubclass(section, HttpClientConfig) and section is not HttpClientConfig else set()
    return {key for key in known - shared if not (key.endswith("_sd_configs") and key not in kinds())}


def kinds() -> set[str]:
    return {kind.key() for kind in KINDS.values()}


@pytest.mark.parametrize(
    ("title", "section"),
    [
        ("`global`", GlobalConfig),
        ("`scrape_configs[]`", ScrapeConfig),
        ("HTTP: keys of `scrape_configs[]`, `remote_write[]`, `http_sd_configs[]` and others", HttpClientConfig),
        ("`basic_auth`", BasicAuth),
        ("`authorization`", Authorization),
        ("`oauth2`", OAuth2),
        ("`tls_config`", TLSConfig),
        ("`http_headers.NAME`", HttpHeader),
        ("`relabel_configs[]`, `metric_relabel_configs[]`, `write_relabel_configs[]`", RelabelConfig),
        *((f"`{kind.key()}[]`", kind) for kind in KINDS.values()),
    ],
)
def test_every_key_has_its_row_and_every_row_its_key(title, section):
    inner = {key for one in SECTIONS if one.__module__ == section.__module__ for key in keys(one)}
    assert keys(section) - TABLES[title] == set()
    assert TABLES[title] - keys(section) - inner == set()


def test_the_sections_inside_discoveries_have_their_rows():
    shown = set().union(*TABLES.values())
    assert set().union(*(keys(section) for section in SECTIONS)) - shown == set()


def test_every_test_that_the_page_names_is_there():
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE))
    assert len(named) > 60
    missing = []
    for file, test in sorted(named):
        path = ROOT / file
        found = path.exists() and (
            not test
            or any(
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == test
                for node in ast.parse(path.read_text(encoding="utf-8")).body
            )
        )
        if not found:
            missing.append(f"{file}::{test}")
    assert missing == []


def test_every_row_says_what_shows_it():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert [row for row in rows if not re.search(r"\| `tests/[\w/]+\.py::test_\w+` \|$", row)] == []


def test_every_kind_that_is_refused_is_listed_and_no_other():
    listed = PAGE.partition("## Discovery that is refused")[2].partition("\n## ")[0].partition(": each")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == set(SD_MECHANISMS) - set(KINDS)


def refusals(tmp_path, text: str) -> list[str]:
    path = tmp_path / "c.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("kind", sorted(set(SD_MECHANISMS) - set(KINDS)))
def test_other_kinds_of_discovery_are_refused_in_plain_words(tmp_path, kind):
    text = f"scrape_configs:\n- job_name: a\n  {kind}_sd_configs:\n  - refresh_interval: 5m\n"
    (said,) = refusals(tmp_path, text)
    assert f":3: scrape_configs[0].{kind}_sd_configs: Prometheus knows this key, headrace does not act on it" in said


@pytest.mark.parametrize(
    "text",
    [
        "basic_auth: {username_ref: r}", "basic_auth: {password_ref: r}", "authorization: {credentials_ref: r}",
        "oauth2: {client_id: a, token_url: 'http://h', client_secret_ref: r}", "tls_config: {ca_ref: r}",
        "oauth2: {client_id: a, token_url: 'http://h', client_certificate_key_ref: r}",
        "tls_config: {cert_ref: r}", "tls_config: {key_ref: r}",
    ],
)  # fmt: skip
def test_references_to_a_secret_manager_are_refused(tmp_path, text):
    (said,) = refusals(tmp_path, f"scrape_configs:\n- job_name: a\n  {text}\n")
    assert "_ref: Prometheus knows this key" in said
