"""`remote_write`: the backends for metrics, with Prometheus's keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from pipeline.config.cloud_auth import AzureADConfig, GoogleIAMConfig, SigV4Config
from pipeline.config.environment import ExpandedSecret
from pipeline.config.http import RESERVED_HEADERS, URL, HttpClientConfig, redacted_url, unknown_scheme
from pipeline.config.recovery import ANY_ORDER, EARLIEST, Recovery, StartFrom, recovery_faults
from pipeline.config.relabel import RelabelField
from pipeline.config.section import Fault, Foreign, Section, faults
from pipeline.config.units import Boolean, Duration, Integer, Text, above_zero, between

CLOUDS = ("sigv4", "azuread", "google_iam")


class QueueConfig(Section):
    """`queue_config`: how requests are sized and repeated. None: the agent chooses."""

    max_samples_per_send: Annotated[Integer, between(1, None, "remove the key: the agent chooses")] | None = None
    capacity: Annotated[Integer, between(1, None, "remove the key: memory is bounded in bytes")] | None = None
    max_shards: Annotated[Integer, between(1, None, "remove the key: the agent finds out")] | None = None
    min_shards: Annotated[Integer, between(1, None, "the default is 1")] = 1
    sample_age_limit: Duration = 0.0
    batch_send_deadline: Duration | None = None
    min_backoff: Annotated[Duration, above_zero("30ms")] = 0.03
    max_backoff: Duration = 5.0
    retry_on_http_429: Boolean = True

    FOREIGN: ClassVar[dict[str, Foreign]] = {}

    def faults(self) -> Iterator[Fault]:
        """Numbers that can be meant."""
        if self.min_backoff > self.max_backoff:
            yield Fault("min_backoff is greater than max_backoff", "swap them", ("min_backoff",))
        if self.max_shards is not None and self.min_shards > self.max_shards:
            yield Fault("min_shards is greater than max_shards", "swap them", ("min_shards",))

    def warnings(self) -> Iterator[Fault]:
        """429 is always repeated, and nothing waits for a full batch."""
        if not self.retry_on_http_429:
            message = "headrace always repeats a request answered 429: nothing is dropped because a backend is busy"
            yield Fault(message, "remove the key", ("retry_on_http_429",))
        if self.batch_send_deadline is not None:
            message = "headrace does not wait for a batch to fill: it sends at once when the line is free"
            yield Fault(message, "remove the key", ("batch_send_deadline",))


class MetadataConfig(Section):
    """`metadata_config`: type, help and unit of metrics, by themselves (1.0) or with each series (2.0)."""

    send: Boolean = True
    send_interval: Annotated[Duration, above_zero("1m")] = 60.0
    max_samples_per_send: Annotated[Integer, between(1, None, "the default is 2000")] = 2000

    FOREIGN: ClassVar[dict[str, Foreign]] = {}


BackendProfile = Literal["generic", "prometheus", "mimir", "thanos", "victoriametrics", "amp", "azure"]


def short_hash(text: str) -> str:
    """Six hex digits of SHA-256: enough to tell backends apart, stable for ever."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def not_reserved(reserved: frozenset[str]) -> AfterValidator:
    """A check of headers: some are not the user's to set."""

    def check(headers: dict[str, Any]) -> dict[str, Any]:
        found = []
        for name in headers:
            if name.lower() == "authorization":
                remedy = "use basic_auth or authorization"
                found.append(Fault("the authorization header cannot be set like this", remedy, (name,)))
            elif name.lower() in reserved:
                found.append(Fault(f"{name} is a reserved header. It must not be changed", "remove it", (name,)))
        if found:
            raise faults(found)
        return headers

    return AfterValidator(check)


class RemoteWriteConfig(HttpClientConfig):
    """One backend for metrics. Without a name it is called `rw-` and six hex digits of the hash of its url."""

    url: URL = Field(repr=False)
    name: Text = Field(default_factory=lambda data: f"rw-{short_hash(data.get('url', ''))}")
    remote_timeout: Annotated[Duration, above_zero("30s")] = 30.0
    protobuf_message: Literal["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] = "prometheus.WriteRequest"
    send_exemplars: Boolean = False
    send_native_histograms: Boolean = False
    sigv4: SigV4Config | None = None
    azuread: AzureADConfig | None = None
    google_iam: GoogleIAMConfig | None = None
    profile: BackendProfile = "generic"
    recovery: Recovery = "ordered"
    out_of_order_time_window: Duration = 0.0
    start_from: StartFrom = EARLIEST
    headers: Annotated[dict[Text, ExpandedSecret], not_reserved(RESERVED_HEADERS)] = Field(default_factory=dict)
    write_relabel_configs: tuple[RelabelField, ...] = ()
    queue_config: QueueConfig = QueueConfig()
    metadata_config: MetadataConfig = MetadataConfig()
    enable_http2: Boolean = False
    round_robin_dns: Boolean = False
    failed_request_logging: Boolean = False

    # A bare `sigv4:` is what AWS's default chain needs.
    BARE: ClassVar[frozenset[str]] = HttpClientConfig.BARE | frozenset(CLOUDS)

    FOREIGN: ClassVar[dict[str, Foreign]] = HttpClientConfig.FOREIGN

    def faults(self) -> Iterator[Fault]:
        """One way to say who we are."""
        yield from super().faults()
        ways = ("basic_auth", "authorization", "bearer_token", "bearer_token_file", "oauth2", *CLOUDS)
        given = [name for name in ways if getattr(self, name)]
        if len(given) > 1 and set(given) & set(CLOUDS):
            message = (
                "at most one of basic_auth, authorization, oauth2, sigv4, azuread and google_iam must be configured"
            )
            yield Fault(message, f"keep one of {', '.join(given)}")
        remedy = (
            "set out_of_order_time_window to what the backend itself is configured with, name its profile, "
            "or remove the key"
        )
        if self.profile not in ANY_ORDER:
            yield from recovery_faults(
                self.recovery, self.out_of_order_time_window, f'a backend of profile "{self.profile}"', remedy
            )

    def warnings(self) -> Iterator[Fault]:
        """Nothing is sent by an unknown scheme."""
        yield from super().warnings()
        yield from unknown_scheme(self.url)

    @property
    def redacted_url(self) -> str:
        """The url for people: without credentials."""
        return redacted_url(self.url)
