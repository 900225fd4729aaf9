"""`logs`: what Promtail's file says, in Promtail's keys: which files to read, and the backends for their lines."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from pipeline.config.discovery import ExpandedLabels, JobName
from pipeline.config.environment import ExpandedSecret, ExpandedText, FilePath
from pipeline.config.http import URL, HttpClientConfig, redacted_url, unknown_scheme
from pipeline.config.recovery import EARLIEST, Recovery, StartFrom, recovery_faults
from pipeline.config.relabel import RelabelField
from pipeline.config.remote_write import not_reserved, short_hash
from pipeline.config.sd import DiscoverySections, foreign
from pipeline.config.section import Elsewhere, Fault, Foreign, NotYet, Section, fault
from pipeline.config.stages import PipelineStage, named
from pipeline.config.stages.stage import ByteSize, SelectorText
from pipeline.config.units import Boolean, GoDuration, Integer, Number, Text, above_zero, between

# Promtail itself reserves none; these are what makes the request a request.
RESERVED_HEADERS = frozenset({"host", "content-encoding", "content-length", "content-type", "connection"})
_OTHER_SOURCES = (
    "journal", "syslog", "gcplog", "loki_push_api", "windows_events", "kafka", "gelf", "cloudflare", "heroku_drain",
    "azure_event_hubs",
)  # fmt: skip
_USE_PATHS = NotYet(remedy="use static_configs with __path__", owner="Promtail", presence=True)
_OTHER_DISCOVERY = NotYet(
    remedy="use kubernetes_sd_configs, file_sd_configs or static_configs", owner="Promtail", presence=True
)


class BackoffConfig(Section):
    """`backoff_config`: the delays between attempts. Attempts never end, whatever `max_retries` says."""

    min_period: Annotated[GoDuration, above_zero("500ms")] = 0.5
    max_period: GoDuration = 300.0
    max_retries: Integer = 0

    def faults(self) -> Iterator[Fault]:
        """Delays that can be meant."""
        if self.min_period > self.max_period:
            yield Fault("min_period is greater than max_period", "swap them", ("min_period",))

    def warnings(self) -> Iterator[Fault]:
        """A number of retries would lose lines."""
        if self.max_retries:
            message = "headrace retries for ever: no line is dropped because a backend was away"
            yield Fault(message, "remove the key", ("max_retries",))


class LokiClientConfig(HttpClientConfig):
    """One backend for logs. Without a name it is called `loki-` and six hex digits of the hash of its url."""

    url: URL = Field(repr=False)
    name: Text = Field(default_factory=lambda data: f"loki-{short_hash(data.get('url', ''))}")
    batchwait: GoDuration = 1.0
    batchsize: Annotated[Integer, between(1, None, "the default is 1048576 bytes")] = 1024**2
    timeout: Annotated[GoDuration, above_zero("10s")] = 10.0
    backoff_config: BackoffConfig = BackoffConfig()
    tenant_id: ExpandedText = ""
    format: Literal["protobuf", "json"] = "protobuf"
    external_labels: ExpandedLabels = Field(default_factory=dict)
    headers: Annotated[dict[Text, ExpandedSecret], not_reserved(RESERVED_HEADERS)] = Field(default_factory=dict)
    write_relabel_configs: tuple[RelabelField, ...] = ()
    drop_lines: tuple[SelectorText, ...] = ()
    recovery: Recovery = "ordered"
    out_of_order_time_window: GoDuration = 0.0
    start_from: StartFrom = EARLIEST

    FOREIGN: ClassVar[dict[str, Foreign]] = HttpClientConfig.FOREIGN | {
        "drop_rate_limited_batches": NotYet(("false",), owner="Promtail"),
        "stream_lag_labels": Elsewhere("headrace has metrics of lag of its own"),
    }

    def faults(self) -> Iterator[Fault]:
        """New lines before older ones only where the backend is known to take those too."""
        yield from super().faults()
        remedy = (
            "set out_of_order_time_window to half of Loki's ingester.max_chunk_age (1h unless it was changed), "
            "or remove the key"
        )
        window_s = self.out_of_order_time_window
        yield from recovery_faults(self.recovery, window_s, "a Loki whose window is not known", remedy)

    def warnings(self) -> Iterator[Fault]:
        """Nothing waits for a full batch, and nothing is sent by an unknown scheme."""
        yield from super().warnings()
        yield from unknown_scheme(self.url)
        if "batchwait" in self.model_fields_set:
            message = "headrace does not wait for a batch to fill: it sends at once when the line is free"
            yield Fault(message, "remove the key", ("batchwait",))

    @property
    def redacted_url(self) -> str:
        """The url for people: without credentials."""
        return redacted_url(self.url)


def _above_zero(value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise fault("must be greater than 0", "the default is 10000")
    return value


def _encoding(name: str) -> str:
    try:
        # Python knows codecs that are no text encodings, such as hex.
        "".encode(name or "utf-8")
    except (LookupError, UnicodeError):
        raise fault(f'"{name}" is no encoding', "write its IANA name, such as UTF-16LE or windows-1252") from None
    return "" if codecs.lookup(name or "utf-8").name in ("utf-8", "ascii") else name


Encoding = Annotated[Text, AfterValidator(_encoding)]


class DecompressionConfig(Section):
    """`decompression`: compressed files are read as what is in them. Without a format, by their first bytes."""

    enabled: Boolean = False
    initial_delay: GoDuration = 0.0
    format: Literal["", "gz", "z", "bz2", "zst"] = ""


class LogScrapeConfig(DiscoverySections):
    """One job of log files: `__path__` in the labels is the glob."""

    job_name: JobName
    relabel_configs: tuple[RelabelField, ...] = ()
    pipeline_stages: tuple[PipelineStage, ...] = ()
    encoding: Encoding = ""
    decompression: DecompressionConfig = DecompressionConfig()

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        **dict.fromkeys(_OTHER_SOURCES, _USE_PATHS),
        **foreign(_OTHER_DISCOVERY, "consulagent"),
        "entry_parser": NotYet(("raw",), owner="Promtail", remedy="use pipeline_stages"),
    }

    @property
    def cri(self) -> bool:
        """Whether lines are in the CRI format, and no stage wants more of them."""
        stages = named(self.pipeline_stages)
        return len(stages) == 1 and stages[0][0] == "cri" and stages[0][1].usual

    @property
    def stages(self) -> tuple[tuple[str, Any], ...]:
        """The stages by name, where they are more than the CRI format alone."""
        return () if self.cri else named(self.pipeline_stages)

    def warnings(self) -> Iterator[Fault]:
        """Promtail passes over a target without a path, and so do we; but not in silence."""
        for index, static in enumerate(self.static_configs):
            if "__path__" not in static.labels and not self.relabel_configs:
                yield Fault("no __path__: no file is read for this", "add it to labels", ("static_configs", index))


class PositionsConfig(Section):
    """`positions`: where the tailer keeps how far it has read. None: in the storage folder."""

    filename: FilePath | None = None
    sync_period: GoDuration = 10.0
    ignore_invalid_yaml: Boolean = False


class TargetConfig(Section):
    """`target_config`: how often the globs are looked at again."""

    sync_period: GoDuration = 10.0

    FOREIGN: ClassVar[dict[str, Foreign]] = {"stdin": NotYet(("false",), owner="Promtail")}


class FileWatchConfig(Section):
    """`file_watch_config`: how often a file is looked at for new lines."""

    min_poll_frequency: GoDuration = 0.25
    max_poll_frequency: GoDuration = 0.25

    def warnings(self) -> Iterator[Fault]:
        """Files at rest cost so little that they are looked at as often as the others."""
        if self.max_poll_frequency > self.min_poll_frequency:
            message = "headrace looks at every file each min_poll_frequency"
            yield Fault(message, "remove the key", ("max_poll_frequency",))


class LimitsConfig(Section):
    """`limits_config`: how long lines may be, and how many of them may be read."""

    readline_rate_enabled: Boolean = False
    readline_rate: Annotated[Number, AfterValidator(_above_zero)] = 10_000.0
    readline_burst: Annotated[Integer, between(1, None, "the default is 10000")] = 10_000
    readline_rate_drop: Boolean = True
    max_line_size: ByteSize = 0
    max_line_size_truncate: Boolean = False

    FOREIGN: ClassVar[dict[str, Foreign]] = {"max_streams": NotYet(("0",), owner="Promtail")}


class LogsConfig(Section):
    """The log half of headrace."""

    clients: tuple[LokiClientConfig, ...] = ()
    positions: PositionsConfig = PositionsConfig()
    scrape_configs: tuple[LogScrapeConfig, ...] = ()
    target_config: TargetConfig = TargetConfig()
    file_watch_config: FileWatchConfig = FileWatchConfig()
    limits_config: LimitsConfig = LimitsConfig()
