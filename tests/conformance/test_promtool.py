"""`headrace check config` and promtool 3 give the same verdict, but for what docs/compatibility.md lists.

The verdicts of promtool over our own corpus (tests/support/config_corpus.py) are recorded; one test, which needs the
real promtool, looks whether they still are its verdicts. To record anew: HEADRACE_RECORD=1 with that test.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.config.discovery import SD_MECHANISMS
from pipeline.config.sd import KINDS
from pipeline.roles.check_config import check
from tests.peers.catalogue import PROMTOOL
from tests.support.config_corpus import BESIDE, DOCUMENTS, PLACES, cases
from tests.support.promtool import verdicts
from tests.support.server import require
from topics.errors import ConfigError

RECORD = Path(__file__).parents[1] / "data/config/promtool.json"
PAGE = Path(__file__).parents[2] / "docs/compatibility.md"


@dataclass(frozen=True)
class Exempt:
    """Where we judge otherwise on purpose: `keys` matches `place.key`, `values` the name of the value.

    `why` begins a line of the page's list.
    """

    keys: str
    values: str
    why: str

    def covers(self, name: str) -> bool:
        """Whether this case is meant."""
        key, _, value = name.partition(": ")
        return bool(re.fullmatch(self.keys, key) and re.fullmatch(self.values, value))


_ANY = ".*"
EXEMPT = (
    Exempt(r"global\.(evaluation_interval|rule_query_offset)|top\.rule_files", _ANY, "Keys of parts"),
    Exempt(_ANY, "float", "A fraction where a whole number"),
    Exempt(r"scrape\.scheme|consul_sd\.scheme", _ANY, "A `scheme` other than"),
    Exempt(r".*\.(proxy_url|api_server|endpoint)|remote_url\.url", _ANY, "A URL without a scheme or a host"),
    Exempt(_ANY, "var", "A `${` that names no variable"),
    Exempt(r"tls_key\.key", _ANY, "A certificate in a file with its key written inline"),
    Exempt(r".*_sd\.refresh_interval|remote\.remote_timeout|queue\.min_backoff", "zero", "An interval, timeout"),
    Exempt(r"(remote|queue|dns_sd_type|consul_sd)\.\w+", "null", "A key without a value"),
    Exempt(r"relabel\w*\.source_labels|top\.scrape_config_files", "null_list", "An empty item"),
    Exempt(r"remote\.name", _ANY, "The name of a backend"),
    Exempt(r"(remote|queue|metadata)\.(round_robin_dns|sample_age_limit|send_interval|max_samples_per_send)", _ANY,
           "A key that headrace does not act on"),
    Exempt(r"queue\.min_shards", "exp|under", "A `min_shards` above 50"),
    Exempt(r"(global|scrape)\.scrape_protocols", "protocols2", "`OpenMetricsText2.0.0`"),
    Exempt(r"document", "versions crossed", "A `min_version` above"),
    Exempt(r"document", "two documents", "A second document"),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that lie beside each document."""
    path = tmp_path_factory.mktemp("corpus")
    for name, text in BESIDE.items():
        (path / name).write_text(text)
    return path


def recorded() -> dict[str, list[str]]:
    return dict(json.loads(RECORD.read_text(encoding="utf-8")))


def taken(path: Path, environ: dict[str, str] | None = None) -> bool:
    try:
        check(path, environ=environ or {})
    except ConfigError:
        return False
    return True


GROUPS = sorted({name.partition(": ")[0] for name, _ in cases()})


@pytest.mark.parametrize("group", GROUPS)
def test_the_verdict_is_that_of_promtool(group, folder):
    good = set(recorded()[group])
    path = folder / "c.yml"
    wrong = []
    for name, text in cases():
        key, _, value = name.partition(": ")
        if key == group:
            path.write_text(text)
            if taken(path) is not (value in good) and not any(exempt.covers(name) for exempt in EXEMPT):
                wrong.append(f"{value}: {'good' if value in good else 'bad'} for promtool")
    assert wrong == []


def test_every_exemption_is_needed_and_explained(folder):
    listed = PAGE.read_text(encoding="utf-8")
    good, path = recorded(), folder / "c.yml"
    for exempt in EXEMPT:
        assert f"\n- {exempt.why}" in listed
        differs = False
        for name, text in cases():
            key, _, value = name.partition(": ")
            if exempt.covers(name):
                path.write_text(text)
                differs = differs or taken(path) is not (value in good[key])
        assert differs, f"{exempt}: nothing differs any more"


def test_the_corpus_has_both_kinds_and_every_record():
    good = recorded()
    assert set(good) == set(GROUPS)
    assert len(PLACES) > 40
    assert 15 < len(good["document"]) < len(DOCUMENTS) - 20
    assert 2000 < sum(map(len, good.values())) < len(list(cases())) - 2000


# Its files of sections that headrace has not, and one with a URL that is none.
_OF_OTHERS = (
    "config_with_deprecated_am_api", "empty_alert", "empty_rr", "otlp", "remote_read", "rules", "tracing", "tsdb",
    "remote_write_retry_on_rate_limit",
)  # fmt: skip


@pytest.mark.promtool
def test_verdicts_over_the_files_that_prometheus_tests_itself_with():
    program = require(PROMTOOL)
    argv = ["go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus"]
    found = subprocess.run(argv, cwd=PROMTOOL.folder, capture_output=True, text=True, check=False)
    data = Path(found.stdout.strip()) / "config/testdata"
    if found.returncode or not data.is_dir():
        pytest.skip("Prometheus's own files are not in Go's cache")
    names = sorted(path.name for path in data.glob("*.yml"))
    said = verdicts(program, data, names)
    differ = [name for name in names if taken(data / name, {"TEST": "x"}) is not said[name]]
    assert [name for name in differ if not name.startswith(_OF_OTHERS)] == []
    assert len(names) > 200
    assert sum(said.values()) > 50
    examples = data.parents[1] / "documentation/examples"
    names = sorted(path.name for path in examples.glob("prometheus*.yml"))
    said = verdicts(program, examples, names)
    differ = [name for name in names if taken(examples / name) is not said[name]]
    refused = {f"prometheus-{kind}.yml" for kind in set(SD_MECHANISMS) - set(KINDS)}
    assert set(differ) - refused == set()
    assert "prometheus.yml" in names


@pytest.mark.promtool
def test_the_record_is_what_promtool_says(folder):
    program = require(PROMTOOL)
    names: dict[str, str] = {}
    for index, (name, text) in enumerate(cases()):
        (folder / f"c{index}.yml").write_text(text)
        names[f"c{index}.yml"] = name
    said: dict[str, list[str]] = {group: [] for group in GROUPS}
    for file, good in verdicts(program, folder, list(names)).items():
        key, _, value = names[file].partition(": ")
        if good:
            said[key].append(value)
    if os.environ.get("HEADRACE_RECORD"):
        lines = [f"{json.dumps(key)}: {json.dumps(values, ensure_ascii=False)}" for key, values in said.items()]
        RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    assert said == recorded()
