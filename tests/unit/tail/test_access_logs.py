"""Access logs by the block give what they give line by line, byte by byte, whatever the lines are."""

from __future__ import annotations

import json
import random

import pytest

from pipeline.stages import envoy_pairs, envoy_places
from pipeline.stages.envoy import EnvoyStage
from tests.support.access_lines import both_ways, outcome
from topics import push_request

ISTIO = (
    '[2026-01-02T03:04:05.123Z] "GET /cart/{n} HTTP/1.1" {code} {flags} via_upstream - "-" 0 {n} 3 2 "-" "curl "x" '
    '{n}" "id-{n}" "cart:8080" "10.0.0.1:8080" inbound|8080|| 127.0.0.6:{n} 10.0.1.7:8080 10.0.2.1:{n} - default'
)
ENVOY = '[2026-01-02T03:04:05.123Z] "GET /cart/{n} HTTP/1.1" {code} {flags} 0 {n} 3 2 "-" "curl" "id-{n}" "cart" "-"'
ODD_CONTENTS = (
    "", " ", "{", "{}", "{},{}", "[1]", "[2026] warming", "null", '"x"', "1", '{"response_code":NaN}', "proxy started",
    '{"response_code":200}', '{"response_code":200,"response_code":503}', ' {"response_code":200}',
    '{"response_code":[1]}', '{"response_code":200,"upstream_cluster":{}}', '{"response_code":200,"odd":{"a":[1]}}',
    '{"response_code":200,"route_name":[],"upstream_cluster":"inbound|1||"}', '{"response_code":true,"b":false}',
    '{"response_code":1,"b":0}', '{"response_code":1.0,"b":true}', '{"response_code":0,"b":-0.0}',
    '{"response_code":"200","b":1e300}', '{"response_code":12345678901234567890,"b":-9007199254740993}',
    '{"response_code":null,"b":""}', '{"response_code":200,"b":"-"}', '{"response_code":200,"b":"x"}',
    '{"response_code":200,"b":"ä€\\ud83d\\ude00\\u0000"}', '{"response_code":200,"b":"' + "l" * 700 + '"}',
    '{"response_code":200,"b":"' + "m" * 20_000 + '"}', '{"response_code":200,"ä b-c.d":"e"}',
    '{"response_code":200,"response_flags":7}', '{"response_code":200,"response_flags":"UF,ZZ"}',
)  # fmt: skip
HEADS = (
    "2026-01-02T03:04:05.{:09d}Z stdout F ", "2026-01-02T03:04:06.{:09d}Z stderr F ", "2026-01-02T03:04:05Z stdout F ",
    "2026-01-02T03:04:05.{:09d}Z stdout P ", "2026-01-02T03:04:05.{:09d}Z stderr P ", "yesterday stdout F ",
    "2026-01-02T03:04:05.{:09d}7Z stdout F ", "2026-01-02T05:04:05.{:09d}+02:00 stdout F ", "broken ", " stdout F ",
    "2026-01-02t03:04:05.5Z stdout F ", "1969-01-02T03:04:05.{:09d}Z stdout F ", "2026-02-30T03:04:05.1Z stderr F ",
    "2026-01-02T03:04:05.{:09d}Z stdout X ", "2026-01-02T03:04:05.{:09d}Z stdlog F ", "2026-01-02T03:04:05.Z stdout F ",
    "2026-01-02T03:04:05.000000{:03d}Z stdout F ", "2026-01-02T03:04:05.1Z stdout F ", "",
)  # fmt: skip


def access_log(chance: random.Random, number: int) -> str:
    fields = {
        "start_time": f"2026-01-02T03:04:05.{number % 1000:03d}Z", "method": chance.choice(["GET", "POST"]),
        "path": f"/cart/{number}", "response_code": chance.choice([200, 200, 404, 503, 0]), "bytes_sent": number,
        "response_flags": chance.choice(["-", "UF,URX", "DC"]), "user_agent": "a" * chance.choice([0, 1, 50, 130, 600]),
        "request_id": f"id-{number}", "upstream_cluster": chance.choice(["inbound|80||", "outbound|80||x", None, "-"]),
        "route_name": chance.choice(["default", None, "outbound|9||y"]), "duration": number % 7,
        "upstream_service_time": chance.choice([None, "-", str(number)]),
        "mixed": chance.choice([number, "x", None, 1]),
        "ratio": number / 7, "x_forwarded_for": chance.choice([None, f"10.0.0.{number % 256}", "é"]),
    }  # fmt: skip
    if chance.random() < 0.1:
        fields.pop(chance.choice(list(fields)))
    if chance.random() < 0.05:
        fields["upstream_metadata"] = {"a": [number]}
    return json.dumps(fields, ensure_ascii=chance.random() < 0.5, separators=(",", ":"))


def content(chance: random.Random, number: int) -> str:
    kind = chance.random()
    if kind < 0.7:
        return access_log(chance, number)
    if kind < 0.8:
        form = chance.choice([ISTIO, ENVOY])
        return form.format(n=number, code=chance.choice([200, 503]), flags=chance.choice(["-", "UF"]))
    return chance.choice(ODD_CONTENTS)


def blocks(seed: int, *, nasty: float) -> list[bytes]:
    """Blocks of lines as a container runtime writes them, some of them odd."""
    chance = random.Random(seed)
    found = []
    number = 0
    for _ in range(12):
        lines = []
        for _ in range(chance.choice([1, 2, 3, 5, 40, 200])):
            number += 1
            head = chance.choice(HEADS) if chance.random() < nasty else HEADS[0]
            text = content(chance, number) if chance.random() < 0.5 + nasty else access_log(chance, number)
            line = (
                head.format(number % 10**3 if "000000" in head else number * 1_000_003 % 10**9).encode() + text.encode()
            )
            lines.append(line + (b"\xff\xc3" if chance.random() < nasty / 50 else b"") + b"\n")
        found.append(b"".join(lines))
    return found


SETTINGS = (
    "", "format: json", "format: istio", "format: envoy", "keep: inbound", "keep: outbound, spell_flags: true",
    "fields: [method, request_id, mixed]", "labels: [app, response_code_class]", "labels: [app, stream]",
    "format: '[%START_TIME%] %RESPONSE_CODE% %REQ(:PATH)%'",
)  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("nasty", [0.0, 0.05, 0.5])
def test_both_ways_say_the_same(monkeypatch, settings, nasty):
    for seed in range(3):
        together, apart = both_ways(monkeypatch, blocks(seed, nasty=nasty), settings)
        assert together == apart
        assert sum(len(lines) for lines, _, _ in together.blocks[:-1]) > 12


def test_both_ways_say_the_same_when_memories_are_full(monkeypatch):
    monkeypatch.setattr(envoy_pairs, "_MOST_VALUES", 8)
    monkeypatch.setattr(envoy_pairs, "_MOST_NAMES", 8)
    monkeypatch.setattr(envoy_places, "MOST", 4)
    for seed in range(10, 14):
        together, apart = both_ways(monkeypatch, blocks(seed, nasty=0.1), "spell_flags: true")
        assert together == apart


@pytest.mark.parametrize("truncate", [True, False])
def test_both_ways_keep_to_the_limit_of_a_line(monkeypatch, truncate):
    together, apart = both_ways(monkeypatch, blocks(5, nasty=0.1), "", max_line_bytes=400, truncate=truncate)
    assert together == apart
    assert any(tally.get("cut") for tally in together.tally) == truncate
    assert ("line_too_long" in together.page) != truncate


def test_lines_of_every_second_and_output_stay_in_order():
    found = outcome(blocks(3, nasty=0.0), "labels: [app]")
    numbers = []
    for lines, _, _ in found.blocks[:-1]:
        for one in lines:
            (raw,) = push_request.split(one.entries)
            entries = [push_request.decode_entry(entry) for entry in push_request.entries_of(raw)]
            numbers += [dict(entry.metadata).get("request_id") for entry in entries]
            assert one.count == len(entries)
            assert (one.min_ts_ns, one.max_ts_ns) == (min(e.ts_ns for e in entries), max(e.ts_ns for e in entries))
    seen = [int(number[3:]) for number in numbers if number]
    assert seen == sorted(seen)
    assert len(seen) > 100


def test_a_fault_of_ours_leaves_the_lines_to_the_plain_way(monkeypatch):
    expected = outcome(blocks(1, nasty=0.1), "")

    def failing(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(EnvoyStage, "many", failing)
    assert outcome(blocks(1, nasty=0.1), "") == expected


def test_true_is_not_one():
    lines = [f'2026-01-02T03:04:05.{n:09d}Z stdout F {{"response_code":200,"b":{value}}}\n'
             for n, value in enumerate(["1", "true", "0", "false", "1.0", "-0.0"])]  # fmt: skip
    ((found, _, _), _) = outcome(["".join(lines).encode()], "").blocks
    (raw,) = push_request.split(found[0].entries)
    seen = [dict(push_request.decode_entry(entry).metadata)["b"] for entry in push_request.entries_of(raw)]
    assert seen == ["1", "true", "0", "false", "1", "-0"]


ALIKE = ("1,true,1", "0,false,0", "0.0,-0.0,0.0", "1,1.0,1", "true,1,true", '"1",1,"1"', "7,7,7", 'null,"-",null',
         '"x","x","x"', "true,true,true", "1.5,1.5,1.5")  # fmt: skip


@pytest.mark.parametrize("values", ALIKE)
def test_a_field_that_begins_and_ends_alike_may_differ_in_between(monkeypatch, values):
    lines = [f'2026-01-02T03:04:05.{n:09d}Z stdout F {{"a":"-","response_code":200,"b":{value},"c":{n}}}\n'
             for n, value in enumerate(values.split(",") * 3)]  # fmt: skip
    together, apart = both_ways(monkeypatch, ["".join(lines).encode()], "")
    assert together == apart


def test_fields_that_never_differ_need_no_columns(monkeypatch):
    lines = [f'2026-01-02T03:04:05.{n:09d}Z stdout F {{"response_code":200,"b":"x","c":null}}\n' for n in range(9)]
    for settings in ("", "fields: [c]", "fields: [z]", "fields: [b]", "spell_flags: true"):
        together, apart = both_ways(monkeypatch, ["".join(lines).encode()], settings)
        assert together == apart
