"""What a job says about the scrapes of its targets, as the classes that act on it take it.

Names, defaults and meaning are those of Prometheus's `scrape_config`; of each limit 0 means none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.scrape.negotiation import ParserOptions

if TYPE_CHECKING:
    from pipeline.config.scrape import ScrapeConfig

# As Prometheus's histogram package: between these lie the schemas of exponential buckets.
LEAST_SCHEMA, MOST_SCHEMA = -4, 8


@dataclass(frozen=True, slots=True)
class SeriesLimits:
    """What the labels of one series may be; lengths in bytes. `legacy_names`: only names of the time before UTF-8."""

    label_limit: int = 0
    label_name_length_limit: int = 0
    label_value_length_limit: int = 0
    legacy_names: bool = False

    @classmethod
    def of(cls, config: ScrapeConfig) -> SeriesLimits:
        """Those of a job."""
        return cls(
            config.label_limit,
            config.label_name_length_limit,
            config.label_value_length_limit,
            config.metric_name_validation_scheme == "legacy",
        )


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """How the bodies of a target are taken. `max_schema`: native histograms of a finer one are made coarser."""

    honor_timestamps: bool = True
    track_timestamps: bool = False
    sample_limit: int = 0
    bucket_limit: int = 0
    max_schema: int = MOST_SCHEMA
    parsing: ParserOptions = field(default_factory=ParserOptions)

    @classmethod
    def of(cls, config: ScrapeConfig) -> CacheOptions:
        """Those of a job."""
        return cls(
            config.honor_timestamps,
            config.track_timestamps_staleness,
            config.sample_limit,
            config.native_histogram_bucket_limit,
            schema_of(config.native_histogram_min_bucket_factor),
            ParserOptions(
                native_histograms=config.scrape_native_histograms,
                classic_too=config.always_scrape_classic_histograms,
                to_custom_buckets=config.convert_classic_histograms_to_nhcb,
                start_times=config.start_timestamps,
            ),
        )


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """What is reported of each scrape. `extra`: the three series more of `extra_scrape_metrics`."""

    extra: bool = False
    sample_limit: int = 0

    @classmethod
    def of(cls, config: ScrapeConfig) -> LoopOptions:
        """Those of a job."""
        return cls(config.extra_scrape_metrics, config.sample_limit)


def schema_of(bucket_factor: float) -> int:
    """The finest schema whose buckets grow by this factor at least; Prometheus's `pickSchema`."""
    if bucket_factor <= 1:
        return MOST_SCHEMA
    if math.isinf(bucket_factor):
        return LEAST_SCHEMA
    floor = math.floor(-math.log2(math.log2(bucket_factor)))
    return max(LEAST_SCHEMA, min(MOST_SCHEMA, floor))
