from __future__ import annotations

import pytest

from pipeline.scrape import media_type
from pipeline.scrape.negotiation import Fetched, ParserOptions, accept_header, identify, parser_for
from pipeline.textparse.custom_buckets import CustomBucketsParser
from pipeline.textparse.openmetrics import OpenMetricsParser
from pipeline.textparse.prometheus import PrometheusParser
from pipeline.textparse.protobuf import ProtobufParser
from topics.errors import ScrapeFailed

PROTOBUF = "application/vnd.google.protobuf"


def test_protocols_are_asked_for_in_their_order_with_falling_weights() -> None:
    assert accept_header(("OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0"), "allow-utf-8") == (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,"
        "application/openmetrics-text;version=0.0.1;q=0.6,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,"
        "*/*;q=0.4"
    )
    assert accept_header(("PrometheusProto", "PrometheusText0.0.4", "PrometheusText1.0.0"), "underscores") == (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
        "text/plain;version=0.0.4;q=0.6,"
        "text/plain;version=1.0.0;escaping=underscores;q=0.5,"
        "*/*;q=0.4"
    )


@pytest.mark.parametrize(
    ("content_type", "protocol", "escaping"),
    [
        ("text/plain", "PrometheusText0.0.4", ""),
        ("text/plain; version=0.0.4; charset=utf-8", "PrometheusText0.0.4", ""),
        ("TEXT/PLAIN;Version=1.0.0 ; escaping=underscores", "PrometheusText1.0.0", "underscores"),
        ("text/plain; version=9", "PrometheusText0.0.4", ""),
        ("text/plain;", "PrometheusText0.0.4", ""),
        ("application/openmetrics-text", "OpenMetricsText1.0.0", ""),
        ("application/openmetrics-text; version=0.0.1", "OpenMetricsText0.0.1", ""),
        ('application/openmetrics-text; version="1.0.0"; escaping=values', "OpenMetricsText1.0.0", "values"),
        (f"{PROTOBUF}; proto=io.prometheus.client.MetricFamily; encoding=delimited", "PrometheusProto", ""),
        (PROTOBUF, "PrometheusProto", ""),
    ],
)
def test_a_known_type_says_what_the_body_is(content_type: str, protocol: str, escaping: str) -> None:
    assert identify(b"x", content_type, None) == Fetched(b"x", protocol, escaping)
    assert identify(b"x", content_type, "PrometheusProto").protocol == protocol


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        ("", "the target sends no Content-Type"),
        ("text/html", 'unsupported Content-Type "text/html"'),
        ("application/json; charset=utf-8", "unsupported"),
        ("application/openmetrics-text; version=2.0.0", "unsupported"),
        ("nonsense", "unsupported"),
        ("text/plain; version", "malformed"),
        ("text/plain; version=1.0.0; version=0.0.4", "malformed"),
        ("text/", "malformed"),
        ("text/plain text/plain", "malformed"),
        (";", "malformed"),
    ],
)
def test_what_is_not_known_needs_a_fallback(content_type: str, words: str) -> None:
    with pytest.raises(ScrapeFailed, match=words) as raised:
        identify(b"x", content_type, None)
    assert "no fallback_scrape_protocol is set" in str(raised.value)
    assert identify(b"x", content_type, "OpenMetricsText1.0.0").protocol == "OpenMetricsText1.0.0"
    assert identify(b"", content_type, None).body == b""


def test_quoted_parameters_lose_their_quotes_and_escapes() -> None:
    assert media_type.parse('a/b; x="y\\"z\\q;"; c = d') == ("a/b", {"x": 'y"z\\q;', "c": "d"})
    assert media_type.parse('a/b; x="y') is None
    assert media_type.parse('a/b; x="' + "\\" * 5000) is None
    assert media_type.parse("a/b; x=y; x=y") == ("a/b", {"x": "y"})


@pytest.mark.parametrize(
    ("protocol", "parser"),
    [
        ("PrometheusText0.0.4", PrometheusParser),
        ("PrometheusText1.0.0", PrometheusParser),
        ("OpenMetricsText0.0.1", OpenMetricsParser),
        ("OpenMetricsText1.0.0", OpenMetricsParser),
        ("PrometheusProto", ProtobufParser),
    ],
)
def test_each_protocol_has_its_parser(protocol: str, parser: type) -> None:
    assert type(parser_for(Fetched(b"", protocol), ParserOptions())) is parser
    wrapped = parser if parser is ProtobufParser else CustomBucketsParser
    assert type(parser_for(Fetched(b"", protocol), ParserOptions(to_custom_buckets=True))) is wrapped
