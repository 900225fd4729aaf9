"""`global` and `scrape_configs`: Prometheus's keys and defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipeline.config.discovery import ExternalLabels, JobName
from pipeline.config.http import HttpClientConfig
from pipeline.config.relabel import RelabelField
from pipeline.config.scrape_defaults import ScrapeDefaults, ScrapeProtocol, ScrapeProtocols, protocols_for
from pipeline.config.sd import DiscoverySections, foreign
from pipeline.config.section import Elsewhere, Fault, Foreign, NotYet, Section
from pipeline.config.units import NONE_IF_EMPTY, Boolean, Count, Duration, Number, Text, above_zero, format_duration
from pipeline.relabel.rule import valid_legacy_name

_FAILURES = "remove the key; failures are on the page of targets and in the log"
_RULES = "headrace does not evaluate rules; keep them in your Prometheus"


class GlobalConfig(ScrapeDefaults):
    """`global`: defaults for every job, and the labels of this headrace."""

    scrape_interval: Annotated[Duration, above_zero("1m")] = 60.0
    scrape_timeout: Duration = 10.0
    scrape_protocols: ScrapeProtocols | None = None
    external_labels: ExternalLabels = Field(default_factory=dict)

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        "scrape_failure_log_file": NotYet(remedy=_FAILURES),
        "evaluation_interval": Elsewhere(_RULES),
        "rule_query_offset": Elsewhere(_RULES),
        "query_log_file": Elsewhere("headrace answers no queries; keep it in your Prometheus"),
    }

    def faults(self) -> Iterator[Fault]:
        """As Prometheus checks them."""
        if self.scrape_timeout > self.scrape_interval:
            yield Fault("global scrape timeout greater than scrape interval", "lower it", ("scrape_timeout",))
        if self.metric_name_validation_scheme == "legacy":
            for name in self.external_labels:
                if not valid_legacy_name(name):
                    remedy = "metric_name_validation_scheme is legacy: use letters, digits and _, no digit first"
                    yield Fault(f'"{name}" is not a valid label name', remedy, ("external_labels", name))


class ScrapeConfig(ScrapeDefaults, DiscoverySections, HttpClientConfig):
    """One job: its targets, how they are scraped, what becomes of their labels."""

    job_name: JobName
    scrape_interval: Annotated[Duration, above_zero("1m")] = 60.0
    scrape_timeout: Duration = 10.0
    scrape_protocols: ScrapeProtocols = Field(
        default_factory=lambda data: protocols_for(data.get("scrape_native_histograms", False))
    )
    fallback_scrape_protocol: Annotated[ScrapeProtocol | None, NONE_IF_EMPTY] = None
    native_histogram_bucket_limit: Count = 0
    native_histogram_min_bucket_factor: Number = 0.0
    metrics_path: Text = "/metrics"
    scheme: Literal["http", "https"] = "http"
    params: dict[Text, tuple[Text, ...]] = Field(default_factory=dict)
    honor_labels: Boolean = False
    honor_timestamps: Boolean = True
    track_timestamps_staleness: Boolean = False
    enable_compression: Boolean = True
    relabel_configs: tuple[RelabelField, ...] = ()
    metric_relabel_configs: tuple[RelabelField, ...] = ()

    FOREIGN: ClassVar[dict[str, Foreign]] = (
        HttpClientConfig.FOREIGN
        | foreign(NotYet(remedy="use static_configs, file_sd_configs or http_sd_configs"))
        | {"scrape_failure_log_file": NotYet(remedy=_FAILURES)}
    )

    def faults(self) -> Iterator[Fault]:
        """As Prometheus checks them."""
        yield from super().faults()
        if self.scrape_timeout > self.scrape_interval:
            interval = format_duration(self.scrape_interval)
            message = f'scrape timeout greater than scrape interval ({interval}) in job "{self.job_name}"'
            yield Fault(message, "lower scrape_timeout or raise scrape_interval", ("scrape_timeout",))
        if self.metric_name_escaping_scheme == "allow-utf-8" and self.metric_name_validation_scheme != "utf8":
            message = "utf8 metric names requested but metric_name_validation_scheme is not utf8"
            yield Fault(message, "choose another escaping scheme", ("metric_name_escaping_scheme",))
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
