"""The `envoy` stage on lines written by a real Envoy whose upstreams fail in every way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.clock import SystemClock
from pipeline.config.stages.envoy import EnvoyStage
from pipeline.stages.custom_metrics import CustomMetrics
from pipeline.stages.entry import Entry
from pipeline.stages.envoy_flags import FLAGS
from pipeline.stages.pipeline import Job, Program
from pipeline.tail.lines import Tally
from pipeline.telemetry.metrics import Telemetry
from tests.peers import catalogue
from tests.support.access_lines import both_ways
from tests.support.process import wait_for
from tests.support.server import require
from tests.support.troubled_envoy import CUSTOM, ISTIO_JSON, TroubledEnvoy
from topics import push_request

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.envoy]
TARGET = {"namespace": "shop", "pod": "cart-1", "container": "istio-proxy", "app": "cart", "filename": "/x/0.log"}


@pytest.fixture(scope="module")
def logs() -> Iterator[dict[str, list[str]]]:
    """What Envoy wrote, by format."""
    server = TroubledEnvoy(require(catalogue.ENVOY))
    try:
        server.start()
        count = server.make_trouble()
        names = ("json", "istio", "envoy", "custom")
        wait_for("access logs", lambda: all(len(_lines(server, name)) >= count for name in names))
        found = {name: _lines(server, name) for name in names}
        assert {len(lines) for lines in found.values()} == {count}
        yield found
    finally:
        server.close()
        server.close_upstreams()


def _lines(server: TroubledEnvoy, name: str) -> list[str]:
    path = server.log(name)
    return path.read_text().splitlines() if path.exists() else []


def run(lines: list[str], **settings: Any) -> tuple[list[Entry], list[str]]:
    clock = SystemClock()
    dropped: list[str] = []
    job = Job("envoy", clock, CustomMetrics(Telemetry().registry, clock), dropped.append, values_wanted=True)
    out: list[Entry] = []
    pipeline = Program([("envoy", EnvoyStage(**settings))], job).pipeline(out.append, Tally())
    for line in lines:
        pipeline.push(Entry(job.sets.of(TARGET), 1, line.encode()))
    return out, dropped


def metadata(entry: Entry) -> dict[str, str]:
    raw = push_request.encode_entry(1, entry.line, entry.metadata)
    start = 2 if raw[1] < 128 else 3
    decoded = push_request.decode_entry(raw[start:] + entry.packed)
    return dict(decoded.metadata)


def test_the_traffic_made_every_trouble(logs):
    flags = {flag for line in logs["json"] for flag in json.loads(line)["response_flags"].split(",")}
    assert {"-", "UT", "UC", "UF", "URX", "NR", "UH", "DC"} <= flags
    assert flags - {"-"} <= FLAGS.keys()


@pytest.mark.parametrize("form", ["auto", "json"])
def test_json_lines_give_all_that_is_set(logs, form):
    found, _ = run(logs["json"], format=form)
    for line, entry in zip(logs["json"], found, strict=True):
        fields = json.loads(line)
        assert fields.keys() == ISTIO_JSON.keys()
        wanted = {name: str(value) for name, value in fields.items() if value not in (None, "-")}
        assert metadata(entry) == wanted | {"pod": "cart-1", "filename": "/x/0.log"}
        assert entry.line.decode() == line


@pytest.mark.parametrize("form", ["auto", "istio"])
def test_istio_text_says_what_json_says(logs, form):
    as_json, _ = run(logs["json"])
    as_text, _ = run(logs["istio"], format=form)
    for one, other in zip(as_json, as_text, strict=True):
        wanted = metadata(one)
        # text has no spaces where JSON keeps them
        for name in ("upstream_transport_failure_reason",):
            wanted.pop(name, None)
        found = metadata(other)
        found.pop("upstream_transport_failure_reason", None)
        assert found == wanted
        assert one.labels.mapping == other.labels.mapping


@pytest.mark.parametrize("form", ["auto", "envoy"])
def test_envoy_text_says_its_part_of_it(logs, form):
    as_json, _ = run(logs["json"])
    as_text, _ = run(logs["envoy"], format=form)
    for one, other in zip(as_json, as_text, strict=True):
        found = metadata(other)
        assert len(found) >= 9
        assert found.items() <= metadata(one).items()


def test_a_custom_format_is_taken_apart(logs):
    found, _ = run(logs["custom"], format=CUSTOM)
    for line, entry in zip(logs["json"], found, strict=True):
        fields = json.loads(line)
        seen = metadata(entry)
        assert seen["method"] == fields["method"]
        rewritten = {"/retried": "/broken", "/in": "/ok"}
        assert seen["x_shop"] == rewritten.get(fields["path"], fields["path"])[:12]
        assert entry.labels.mapping.get("response_code_class") is not None
        assert seen.get("response_flags", "-") == fields["response_flags"]
    assert {entry.extracted["grpc_status"] for entry in found} >= {"-", "Unavailable"}


@pytest.mark.parametrize("name", ["json", "istio", "envoy", "custom"])
@pytest.mark.parametrize("more", ["", "keep: inbound", "keep: outbound, spell_flags: true", "fields: [path]"])
def test_whole_blocks_say_what_single_lines_say(logs, monkeypatch, name, more):
    form = {"custom": f"'{CUSTOM}'"}.get(name, "auto")
    lines = [f"2026-01-02T03:04:05.{n:09d}Z stdout F {line}\n" for n, line in enumerate(logs[name] * 3)]
    together, apart = both_ways(monkeypatch, ["".join(lines).encode()], f"format: {form}, {more}".rstrip(", "))
    assert together == apart
    assert sum(one.count for one in together.blocks[0][0]) >= len(logs[name])


def test_labels_are_few(logs):
    found, _ = run(logs["json"])
    names = {name for entry in found for name in entry.labels.mapping}
    assert names == {"namespace", "app", "container", "direction", "response_code_class"}
    seen = {entry.labels.mapping["response_code_class"] for entry in found}
    assert seen == {"2xx", "4xx", "5xx", "none"}


@pytest.mark.parametrize(("keep", "gone"), [("inbound", "outbound|80||shop"), ("outbound", "inbound|8080||")])
def test_one_side_is_kept(logs, keep, gone):
    expected = [line for line in logs["json"] if json.loads(line)["upstream_cluster"] != gone]
    found, dropped = run(logs["json"], keep=keep)
    assert [entry.line.decode() for entry in found] == expected
    assert dropped == ["envoy_other_side"] * (len(logs["json"]) - len(expected))
    assert dropped


def test_flags_are_spelled_out(logs):
    found, _ = run(logs["json"], spell_flags=True)
    spelled = {dict(entry.metadata).get("response_flags_long") for entry in found}
    assert {
        None,
        "UpstreamRequestTimeout",
        "NoRouteFound",
        "NoHealthyUpstream",
        "DownstreamConnectionTermination",
    } <= spelled
    assert any(one and "UpstreamRetryLimitExceeded" in one for one in spelled)


def test_lines_of_the_proxy_itself_stay_as_they_are():
    lines = ["2026-01-02T03:04:05Z info xdsproxy connected", '{"level":"info","msg":"x"}', "[2026] warming", ""]
    found, _ = run(lines)
    assert [entry.line.decode() for entry in found] == lines
    assert all(entry.labels.mapping == TARGET and not entry.packed for entry in found)
