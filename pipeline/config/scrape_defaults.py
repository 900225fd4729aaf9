"""Keys that `global` and each scrape job share; inherit.py says what a job takes from `global`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.config.section import Section, fault
from pipeline.config.units import Boolean, Count, Size

ScrapeProtocol = Literal[
    "PrometheusProto", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0", "PrometheusText0.0.4", "PrometheusText1.0.0"
]
ValidationScheme = Literal["utf8", "legacy"]
EscapingScheme = Literal["allow-utf-8", "underscores", "dots", "values"]

DEFAULT_PROTOCOLS: tuple[ScrapeProtocol, ...] = (
    "OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4",
)  # fmt: skip
PROTO_FIRST: tuple[ScrapeProtocol, ...] = ("PrometheusProto", *DEFAULT_PROTOCOLS)


def protocols_for(native_histograms: bool) -> tuple[ScrapeProtocol, ...]:
    """What to ask for where nobody says it: native histograms come by protobuf alone."""
    return PROTO_FIRST if native_histograms else DEFAULT_PROTOCOLS


def escaping_for(validation: str) -> EscapingScheme:
    """How names are escaped where nobody says it."""
    return "underscores" if validation == "legacy" else "allow-utf-8"


def _no_text_is(default: str) -> BeforeValidator:
    """An empty text counts as not given, as in Prometheus."""

    def check(value: Any) -> Any:
        return default if value == "" else value

    return BeforeValidator(check)


def _protocols(protocols: tuple[ScrapeProtocol, ...]) -> tuple[ScrapeProtocol, ...]:
    if not protocols:
        raise fault("scrape_protocols cannot be empty", "remove the key for the default")
    if len(set(protocols)) != len(protocols):
        raise fault("duplicated protocol in scrape_protocols", "name each once")
    return protocols


ScrapeProtocols = Annotated[tuple[ScrapeProtocol, ...], AfterValidator(_protocols)]


class ScrapeDefaults(Section):
    """The shared keys. Every limit: 0 is none."""

    body_size_limit: Size = 0
    sample_limit: Count = 0
    target_limit: Count = 0
    label_limit: Count = 0
    label_name_length_limit: Count = 0
    label_value_length_limit: Count = 0
    keep_dropped_targets: Count = 0
    metric_name_validation_scheme: Annotated[ValidationScheme, _no_text_is("utf8")] = "utf8"
    metric_name_escaping_scheme: EscapingScheme = Field(
        default_factory=lambda data: escaping_for(data.get("metric_name_validation_scheme", ""))
    )
    scrape_native_histograms: Boolean = False
    convert_classic_histograms_to_nhcb: Boolean = False
    always_scrape_classic_histograms: Boolean = False
    extra_scrape_metrics: Boolean = False
    start_timestamps: Boolean = False
