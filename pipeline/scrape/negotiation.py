"""Which protocol a target is asked for, which one it answered with, and the parser of that protocol.

Rules: Prometheus's acceptHeader (scrape/scrape.go) and textparse.New (model/textparse/interface.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.scrape import media_type
from pipeline.textparse.custom_buckets import CustomBucketsParser
from pipeline.textparse.openmetrics import OpenMetricsParser
from pipeline.textparse.prometheus import PrometheusParser
from pipeline.textparse.protobuf import ProtobufParser
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.textparse.parsed import Parser

PROTOBUF = "PrometheusProto"
TEXT, TEXT_1 = "PrometheusText0.0.4", "PrometheusText1.0.0"
OPENMETRICS_0, OPENMETRICS = "OpenMetricsText0.0.1", "OpenMetricsText1.0.0"

_MEDIA_TYPES = {
    PROTOBUF: "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    TEXT: "text/plain;version=0.0.4",
    TEXT_1: "text/plain;version=1.0.0",
    OPENMETRICS_0: "application/openmetrics-text;version=0.0.1",
    OPENMETRICS: "application/openmetrics-text;version=1.0.0",
}
# The formats whose names may be escaped, and so say how.
_ESCAPED = (TEXT_1, OPENMETRICS)
# Prometheus 3.15 counts down from one more than the protocols that it knows, six of them.
_FIRST_WEIGHT = 7


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body, decompressed, and what it is.

    `protocol`: one of the names that `scrape_protocols` takes. `escaping`: the scheme that the target says its names
    are escaped by, empty if it says none.
    """

    body: bytes
    protocol: str = TEXT
    escaping: str = ""


@dataclass(frozen=True, slots=True)
class ParserOptions:
    """How histograms and start times are read; Prometheus's defaults.

    `native_histograms`: read them (protobuf). `classic_too`: give a classic histogram also where it is given as a
    native one. `to_custom_buckets`: turn classic histograms into native ones with custom buckets. `start_times`: give
    samples the time when counting began, and take `_created` series for that alone (Prometheus: behind a feature flag).
    """

    native_histograms: bool = False
    classic_too: bool = False
    to_custom_buckets: bool = False
    start_times: bool = False


def accept_header(protocols: Sequence[str], escaping: str) -> str:
    """The protocols in the order preferred, each with a lower weight than the one before, and anything else last.

    `escaping`: the scheme by which names beyond the old rules are to be written.
    """
    wanted = []
    for place, protocol in enumerate(protocols):
        scheme = f";escaping={escaping}" if protocol in _ESCAPED else ""
        wanted.append(f"{_MEDIA_TYPES[protocol]}{scheme};q=0.{_FIRST_WEIGHT - place}")
    return ",".join([*wanted, f"*/*;q=0.{_FIRST_WEIGHT - len(protocols)}"])


def identify(body: bytes, content_type: str, fallback: str | None) -> Fetched:
    """What a body is, by its Content-Type; `fallback`: the protocol to take it for where that says nothing of use.

    Raises ScrapeFailed where there is no fallback either. No bytes are a scrape of no samples, whatever their type.
    """
    found = media_type.parse(content_type)
    protocol = _protocol(*found) if found else None
    if protocol is not None:
        return Fetched(body, protocol, found[1].get("escaping", "") if found else "")
    if fallback is not None or not body:
        return Fetched(body, fallback or TEXT)
    if not content_type:
        raise ScrapeFailed("the target sends no Content-Type, and no fallback_scrape_protocol is set for it")
    what = "unsupported" if found else "malformed"
    raise ScrapeFailed(f'{what} Content-Type "{content_type}", and no fallback_scrape_protocol is set for the target')


def parser_for(fetched: Fetched, options: ParserOptions) -> Parser:
    """The parser of this body."""
    if fetched.protocol == PROTOBUF:
        return ProtobufParser(
            fetched.body,
            native_histograms=options.native_histograms,
            classic_too=options.classic_too,
            to_custom_buckets=options.to_custom_buckets,
            start_times=options.start_times,
        )
    parser: PrometheusParser | OpenMetricsParser
    if fetched.protocol in (OPENMETRICS, OPENMETRICS_0):
        parser = OpenMetricsParser(fetched.body, start_times=options.start_times)
    else:
        parser = PrometheusParser(fetched.body)
    if options.to_custom_buckets:
        return CustomBucketsParser(parser, keep_classic=options.classic_too)
    return parser


def _protocol(kind: str, parameters: dict[str, str]) -> str | None:
    version = parameters.get("version", "")
    match kind:
        case "text/plain":
            return TEXT_1 if version == "1.0.0" else TEXT
        case "application/openmetrics-text" if version != "2.0.0":
            return OPENMETRICS_0 if version == "0.0.1" else OPENMETRICS
        case "application/vnd.google.protobuf":
            return PROTOBUF
        case _:
            return None
