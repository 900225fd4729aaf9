"""Templates, layouts, patterns and selectors: what is refused, and what the recorded vectors do not reach."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.expressions import envoy_format, go_time, json_path, logql, loki_pattern
from pipeline.expressions.go_template import Data, Template
from pipeline.expressions.go_text import duration_s, number, parse_float, unquote
from pipeline.expressions.template_values import ABSENT, TemplateError


def render(text: str, **data: object) -> str:
    return Template(text).render(Data(lambda name: data.get(name, ABSENT)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ .a", "not closed"),
        ("{{ if .a }}", "end"),
        ("{{ end }}", "unexpected"),
        ("{{ nope .a }}", "not known"),
        ("{{ env .a }}", "not known"),
        ("{{ ToUpper }}", "takes 1"),
        ("{{ ToUpper .a .b }}", "takes 1"),
        ('{{ define "x" }}{{ end }}', "not known"),
        ("{{ template }}", "not known"),
        ("{{ .a .b }}", "only a function"),
        ("{{ ( .a }}", "parenthesis"),
        ("{{ .a | }}", "missing"),
        ("{{ ? }}", "cannot read"),
        ("{{ else }}", "unexpected"),
        ('{{ "\\q" }}', "escape"),
    ],
)
def test_what_no_template_can_be_is_refused_at_load(text, words):
    with pytest.raises(ValueError, match=words):
        Template(text)


@pytest.mark.parametrize(
    "text", ["{{ .n | ToUpper }}", "{{ .gone.x }}", "{{ $x }}", "{{ div 1 0 }}", "{{ index .s 99 }}"]
)
def test_what_fails_for_a_line_fails_for_that_line(text):
    with pytest.raises(TemplateError):
        render(text, n=5, s="abc")


def test_years_are_found_near_now():
    january = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
    parse = go_time.parser("Jan _2 15:04:05", None, lambda: january)
    assert datetime.fromtimestamp(parse("Dec 31 23:59:59") / 1e9, UTC).year == 2025
    assert datetime.fromtimestamp(parse("Jan  1 00:00:00") / 1e9, UTC).year == 2026
    december = go_time.parser("Jan _2 15:04:05", None, lambda: january - 10 * 86400)
    assert datetime.fromtimestamp(december("Jan  1 00:00:00") / 1e9, UTC).year == 2026


def test_a_leap_day_without_a_leap_year_goes_on_into_march():
    now = datetime(2026, 3, 5, tzinfo=UTC).timestamp()
    parse = go_time.parser("Jan 2 15:04", None, lambda: now)
    assert datetime.fromtimestamp(parse("Feb 29 01:00") / 1e9, UTC) == datetime(2026, 3, 1, 1, tzinfo=UTC)


def test_an_unknown_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        go_time.parser("2006", "Mars/Olympus", lambda: 0.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400.0), ("1.5h", 5400.0), ("-3ms", -0.003), ("0", 0.0), ("2µs", 2e-6), ("+1s", 1.0)],
)
def test_durations_of_go(text, seconds):
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "1x", "h", "1h-2m", " 1s", "1_0s"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="duration"):
        duration_s(text)


def test_numbers_are_floats_or_durations():
    assert [number("1e3"), number("250ms"), number("+Inf"), number("0x1p4")] == [1000.0, 0.25, float("inf"), 16.0]
    for text in ("1_0", " 1", "", "++inf"):
        with pytest.raises(ValueError, match="number"):
            parse_float(text)


def test_quoted_texts():
    assert unquote('"a\\tb\\u00e9\\x41\\101\\""') == 'a\tbéAA"'
    assert unquote("`a\\t`") == "a\\t"


@pytest.mark.parametrize("text", ["<a><b>", "<_>", "no name", "<a> <a>"])
def test_patterns_that_are_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        loki_pattern.parse(text)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [("a <x> b", b"a 1 b", {"x": b"1"}), ("a <x> b", b"z 1 b", {}), ("<x>,<y>", b"1,2,3", {"x": b"1", "y": b"2,3"}),
     ("<x>,<_>;", b"1,2", {"x": b"1"}), ("<x>", b"", {})],
)  # fmt: skip
def test_patterns_take_lines_apart(text, line, found):
    assert dict(loki_pattern.parse(text).captures(line)) == found


@pytest.mark.parametrize(
    "text", ["", "{}", "{a}", '{a="b"', 'a="b"', '{a="b"} |', '{a=~"("}', '{a="b"} |~ "("', '{a="b"}x']
)
def test_selectors_that_are_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        logql.parse(text)


def test_a_filter_after_another():
    selector = logql.parse('{a=~"x.*", b!="y"} |= "GET" !~ "bot|spider" |~ `\\d{3}`')
    assert selector.labels({"a": "xy"})
    assert not selector.labels({"a": "ax"})
    assert selector.line is not None
    assert selector.line(b"GET 200")
    assert not selector.line(b"GET 200 bot")


def test_jmespath_that_is_refused():
    with pytest.raises(ValueError, match="JMESPath"):
        json_path.compiled("a[")


def test_a_function_of_jmespath_that_fails_is_an_error_of_the_line():
    with pytest.raises(ValueError, match=r".+"):
        json_path.compiled("length(a)")({"a": 5})


@pytest.mark.parametrize("text", ["", "no operator", "%REQ(A)%%RESP(B)%", "100% %PROTOCOL%", "%lower%"])
def test_formats_of_envoy_that_are_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        envoy_format.compiled(text)


def test_names_of_operators():
    text = (
        "%REQ(:METHOD)% %REQ(X-A-B?:PATH):10% %RESP(Server)% %TRAILER(grpc-status)% %DYNAMIC_METADATA(a.b:c)% "
        "%START_TIME(%s.%3f)% %PROTOCOL% %PROTOCOL%"
    )
    assert envoy_format.compiled(text).names == (
        "method",
        "x_a_b",
        "resp_server",
        "trailer_grpc_status",
        "dynamic_metadata_a_b_c",
        "start_time",
        "protocol",
        "protocol_2",
    )


def test_a_quote_inside_a_quoted_field_is_found_out():
    compiled = envoy_format.compiled('"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%"')
    assert compiled.names == ("user_agent", "request_id")
    assert list(compiled.values('"a "b" c" "id"') or ()) == ['a "b" c', "id"]
    assert list(compiled.values('"a" "id"') or ()) == ["a", "id"]
    assert compiled.values('"a" "id') is None
    assert compiled.values('"') is None


def test_a_field_that_holds_the_literal_after_it_ends_there():
    compiled = envoy_format.compiled("<%REQ(A)% - %REQ(B)%>")
    assert list(compiled.values("<a-b - c>d>") or ()) == ["a-b", "c>d"]
    assert compiled.values("<a - b") is None
    assert envoy_format.compiled("x%REQ(A)%yx").values("xyx") is not None
    assert envoy_format.compiled("xy%REQ(A)%yx").values("xyx") is None


def test_a_hostile_line_is_taken_apart_as_quickly_as_any():
    """A hundred thousand ways to place the quotes; a search that tried them would not end."""
    for text in (envoy_format.ISTIO, envoy_format.ENVOY):
        assert envoy_format.compiled(text).values('[x] "' + 'a b c" ' * 10_000) is None
