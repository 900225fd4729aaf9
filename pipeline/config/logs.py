"""`logs`: what Promtail's file says, in Promtail's keys: which files to read, and the backends for their lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline.config.discovery import ExpandedLabels, JobName
from pipeline.config.environment import ExpandedSecret, ExpandedText, FilePath
from pipeline.config.http import URL, HttpClientConfig, redacted_url, unknown_scheme
from pipeline.config.relabel import RelabelField
from pipeline.config.remote_write import not_reserved, short_hash
from pipeline.config.sd import DiscoverySections, foreign
from pipeline.config.section import Elsewhere, Fault, Foreign, NotYet, Section
from pipeline.config.units import Boolean, GoDuration, Integer, Text, above_zero, between

# Promtail itself reserves none; these are what makes the request a request.
RESERVED_HEADERS = frozenset({"host", "content-encoding", "content-length", "content-type", "connection"})
STAGES = (
    "decolorize", "docker", "drop", "eventlogmessage", "geoip", "json", "labelallow", "labeldrop", "labels", "limit",
    "logfmt", "match", "metrics", "multiline", "non_indexed_labels", "output", "pack", "pipeline", "regex", "replace",
    "sampling", "static_labels", "structured_metadata", "structured_metadata_drop", "template", "tenant", "timestamp",
    "truncate",
)  # fmt: skip
_OTHER_SOURCES = (
    "journal", "syslog", "gcplog", "loki_push_api", "windows_events", "kafka", "gelf", "cloudflare", "heroku_drain",
    "azure_event_hubs",
)  # fmt: skip
_USE_PATHS = NotYet(remedy="use static_configs with __path__", owner="Promtail", presence=True)


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

    FOREIGN: ClassVar[dict[str, Foreign]] = HttpClientConfig.FOREIGN | {
        "drop_rate_limited_batches": NotYet(("false",), owner="Promtail"),
        "stream_lag_labels": Elsewhere("headrace has metrics of lag of its own"),
    }

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


class CriStage(Section):
    """`cri`: the format in which containerd and CRI-O write lines; partial lines are joined."""

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        "max_partial_lines": NotYet(("100",), owner="Promtail"),
        "max_partial_line_size": NotYet(("0",), owner="Promtail"),
        "max_partial_line_size_truncate": NotYet(("false",), owner="Promtail"),
    }


class PipelineStage(Section):
    """One stage: exactly one key, its name."""

    cri: CriStage | None = None

    BARE: ClassVar[frozenset[str]] = frozenset({"cri"})

    def faults(self) -> Iterator[Fault]:
        """A stage is something."""
        if self.cri is None:
            yield Fault("a pipeline stage must contain one key, its name", "write for example: cri: {}", alone=True)

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        name: NotYet(
            remedy="remove the stage; cri is the one that headrace runs today", owner="Promtail", presence=True
        )
        for name in STAGES
    }


class LogScrapeConfig(DiscoverySections):
    """One job of log files: `__path__` in the labels is the glob."""

    job_name: JobName
    relabel_configs: tuple[RelabelField, ...] = ()
    pipeline_stages: tuple[PipelineStage, ...] = ()

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        **dict.fromkeys(_OTHER_SOURCES, _USE_PATHS),
        **foreign(_USE_PATHS, "consulagent"),
        "encoding": NotYet(("utf-8", "UTF-8"), owner="Promtail"),
        "decompression": NotYet(owner="Promtail"),
        "entry_parser": NotYet(("raw",), owner="Promtail", remedy="use pipeline_stages"),
    }

    @property
    def cri(self) -> bool:
        """Whether lines are in the CRI format."""
        return any(stage.cri is not None for stage in self.pipeline_stages)

    @property
    def stages(self) -> tuple[tuple[str, Any], ...]:
        """The stages by name, where they are more than the CRI format alone."""
        return ()

    @property
    def encoding(self) -> str:
        """The encoding of the files; empty for UTF-8."""
        return ""

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


class LogsConfig(Section):
    """The log half of headrace."""

    clients: tuple[LokiClientConfig, ...] = ()
    positions: PositionsConfig = PositionsConfig()
    scrape_configs: tuple[LogScrapeConfig, ...] = ()
    target_config: TargetConfig = TargetConfig()
    file_watch_config: FileWatchConfig = FileWatchConfig()
