"""`global` and `scrape_configs`: Prometheus's keys and defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from pipeline.config.discovery import SD_MECHANISMS, ExternalLabels, FileSDConfig, JobName, StaticConfig
from pipeline.config.http import HttpClientConfig
from pipeline.config.relabel import RelabelField
from pipeline.config.section import Elsewhere, Fault, Foreign, NotYet, Section, fault
from pipeline.config.units import Boolean, Duration, Text, above_zero, format_duration

ScrapeProtocol = Literal[
    "PrometheusProto", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0", "PrometheusText0.0.4", "PrometheusText1.0.0"
]
DEFAULT_PROTOCOLS: tuple[ScrapeProtocol, ...] = (
    "OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4",
)  # fmt: skip

# Keys that `global` and each scrape config share; what headrace does today is what their defaults say.
_LIMITS: dict[str, Foreign] = {
    name: NotYet(("0", "0B"), remedy="remove the key; headrace limits nothing yet")
    for name in (
        "body_size_limit", "sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit",
        "target_limit", "keep_dropped_targets",
    )
}  # fmt: skip
_CLASSIC = NotYet(("false",), remedy="remove the key; headrace scrapes classic histograms, as without it")
_SHARED: dict[str, Foreign] = _LIMITS | {
    "metric_name_validation_scheme": NotYet(("utf8", "")),
    "metric_name_escaping_scheme": NotYet(("allow-utf-8", "")),
    "always_scrape_classic_histograms": _CLASSIC,
    "scrape_native_histograms": _CLASSIC,
    "convert_classic_histograms_to_nhcb": _CLASSIC,
    "extra_scrape_metrics": NotYet(("false",)),
    "scrape_failure_log_file": NotYet(remedy="remove the key; failures are on the page of targets and in the log"),
}
_RULES = "headrace does not evaluate rules; keep them in your Prometheus"


def _protocols(protocols: tuple[ScrapeProtocol, ...]) -> tuple[ScrapeProtocol, ...]:
    """No protocol twice, and one that headrace reads."""
    if not protocols:
        raise fault("scrape_protocols cannot be empty", "remove the key for the default")
    if len(set(protocols)) != len(protocols):
        raise fault("duplicated protocol in scrape_protocols", "name each once")
    if "PrometheusText0.0.4" not in protocols:
        remedy = "add PrometheusText0.0.4, the one that headrace reads today"
        raise fault("Prometheus knows these protocols, headrace does not act on them yet", remedy)
    return protocols


def _fallback(protocol: ScrapeProtocol) -> ScrapeProtocol:
    if protocol != "PrometheusText0.0.4":
        remedy = "use PrometheusText0.0.4 or remove the key"
        raise fault("Prometheus knows this protocol, headrace does not act on it yet", remedy)
    return protocol


ScrapeProtocols = Annotated[tuple[ScrapeProtocol, ...], AfterValidator(_protocols)]


class GlobalConfig(Section):
    """`global`: defaults for every job, and the labels of this headrace."""

    scrape_interval: Annotated[Duration, above_zero("1m")] = 60.0
    scrape_timeout: Duration = 10.0
    scrape_protocols: ScrapeProtocols = DEFAULT_PROTOCOLS
    external_labels: ExternalLabels = Field(default_factory=dict)

    FOREIGN: ClassVar[dict[str, Foreign]] = _SHARED | {
        "evaluation_interval": Elsewhere(_RULES),
        "rule_query_offset": Elsewhere(_RULES),
        "query_log_file": Elsewhere("headrace answers no queries; keep it in your Prometheus"),
    }

    def faults(self) -> Iterator[Fault]:
        """As Prometheus checks them."""
        if self.scrape_timeout > self.scrape_interval:
            yield Fault("global scrape timeout greater than scrape interval", "lower it", ("scrape_timeout",))


class ScrapeConfig(HttpClientConfig):
    """One job: its targets, how they are scraped, what becomes of their labels."""

    job_name: JobName
    scrape_interval: Annotated[Duration, above_zero("1m")] = 60.0
    scrape_timeout: Duration = 10.0
    scrape_protocols: ScrapeProtocols = DEFAULT_PROTOCOLS
    fallback_scrape_protocol: Annotated[ScrapeProtocol, AfterValidator(_fallback)] | None = None
    metrics_path: Text = "/metrics"
    scheme: Literal["http", "https"] = "http"
    params: dict[Text, tuple[Text, ...]] = Field(default_factory=dict)
    honor_labels: Boolean = False
    honor_timestamps: Boolean = True
    track_timestamps_staleness: Boolean = False
    enable_compression: Boolean = True
    static_configs: tuple[StaticConfig, ...] = ()
    file_sd_configs: tuple[FileSDConfig, ...] = ()
    relabel_configs: tuple[RelabelField, ...] = ()
    metric_relabel_configs: tuple[RelabelField, ...] = ()

    FOREIGN: ClassVar[dict[str, Foreign]] = (
        HttpClientConfig.FOREIGN
        | _SHARED
        | {f"{name}_sd_configs": NotYet(remedy="use static_configs or file_sd_configs") for name in SD_MECHANISMS}
        | {"scrape_classic_histograms": _CLASSIC, "native_histogram_bucket_limit": NotYet(("0",))}
        | {"native_histogram_min_bucket_factor": NotYet(("0",))}
    )

    def faults(self) -> Iterator[Fault]:
        """As Prometheus checks them."""
        yield from super().faults()
        if self.scrape_timeout > self.scrape_interval:
            interval = format_duration(self.scrape_interval)
            message = f'scrape timeout greater than scrape interval ({interval}) in job "{self.job_name}"'
            yield Fault(message, "lower scrape_timeout or raise scrape_interval", ("scrape_timeout",))
        if not self.relabel_configs:
            yield from self._target_faults()

    def _target_faults(self) -> Iterator[Fault]:
        """Without relabelling a target must be what is dialled: host:port, no scheme, no path."""
        for group, static in enumerate(self.static_configs):
            for index, target in enumerate(static.targets):
                if "/" in target:
                    remedy = "write host:port alone; the path belongs to metrics_path, the scheme to scheme"
                    path = ("static_configs", group, "targets", index)
                    yield Fault(f'"{target}" is not a valid hostname', remedy, path)


class ScrapeConfigFile(Section):
    """A file named by `scrape_config_files`: jobs, and nothing else."""

    scrape_configs: tuple[ScrapeConfig, ...] = ()
