"""Which protocol a target is asked for, which one it answered with, and the parser of that protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.textparse.prometheus import PrometheusParser

if TYPE_CHECKING:
    from pipeline.scrape.fetch import Fetched
    from pipeline.textparse.parsed import Parser

# The protocols that are read today, each with its place in the Accept header.
_ACCEPT = {
    "PrometheusText1.0.0": "text/plain;version=1.0.0;escaping=allow-utf-8",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}


def accept_header(protocols: tuple[str, ...]) -> str:
    """The protocols in the order preferred, each with a lower weight than the one before, and anything else last."""
    known = [_ACCEPT[protocol] for protocol in protocols if protocol in _ACCEPT]
    weight = len(known) + 1
    wanted = [f"{media_type};q=0.{weight - place}" for place, media_type in enumerate(known)]
    return ",".join([*wanted, f"*/*;q=0.{weight - len(known)}"])


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


def parser_for(fetched: Fetched, options: ParserOptions) -> Parser:
    """The parser of this body."""
    del options
    return PrometheusParser(fetched.body)
