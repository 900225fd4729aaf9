"""`consul_sd_configs`: targets from Consul's catalog."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipeline.config.environment import ExpandedSecret, ExpandedText
from pipeline.config.http import BasicAuth, HttpClientConfig
from pipeline.config.sd.kind import Kind
from pipeline.config.section import Fault
from pipeline.config.units import Boolean, Duration, Text, above_zero


class ConsulSDConfig(Kind, HttpClientConfig):
    """A Consul server or agent, and which of its services are wanted."""

    KIND: ClassVar[str] = "consul"
    MEANING: ClassVar[str] = "Targets from Consul's catalog."
    MEANINGS: ClassVar[dict[str, str]] = {
        "server": "`host:port` of the server or agent.",
        "path_prefix": "What stands before `/v1` when it is behind a gateway.",
        "token": "The ACL token, sent as `X-Consul-Token`.",
        "datacenter": "The data centre; without it, the server's own.",
        "namespace": "The namespace (Consul Enterprise).",
        "partition": "The admin partition (Consul Enterprise).",
        "tag_separator": "What joins, begins and ends `__meta_consul_tags`.",
        "scheme": "`http` or `https`.",
        "username": "Older way to say `basic_auth: {username: …}`.",
        "password": "Older way to say `basic_auth: {password: …}`.",
        "services": "The services wanted; none: all.",
        "tags": "Tags that an instance must have, every one.",
        "node_meta": "Metadata that a node must have. Newer Consuls: see `filter`.",
        "filter": "A filter expression of the catalog API.",
        "health_filter": "A filter expression of the health API.",
        "allow_stale": "Whether any server may answer, not only the leader.",
        "refresh_interval": "The least time between two looks at the catalog, and at each service.",
    }

    server: ExpandedText = "localhost:8500"
    path_prefix: Text = ""
    token: ExpandedSecret | None = None
    datacenter: Text = ""
    namespace: Text = ""
    partition: Text = ""
    tag_separator: Text = ","
    scheme: Literal["http", "https", ""] = "http"
    username: ExpandedText = ""
    password: ExpandedSecret | None = None
    services: tuple[Text, ...] = ()
    tags: tuple[Text, ...] = ()
    node_meta: dict[Text, Text] = Field(default_factory=dict)
    filter: Text = ""
    health_filter: Text = ""
    allow_stale: Boolean = True
    refresh_interval: Annotated[Duration, above_zero("30s")] = 30.0

    def faults(self) -> Iterator[Fault]:
        """As Prometheus checks them."""
        yield from super().faults()
        if not self.server.strip():
            yield Fault("consul SD configuration requires a server address", "remove the key for localhost:8500")
        if self.server.startswith("unix:"):
            yield Fault("headrace reaches Consul by TCP only", "give host:port", ("server",))
        if (self.username or self.password) and self.basic_auth:
            message = "at most one of consul SD configuration username and password and basic auth can be configured"
            yield Fault(message, "keep basic_auth")
        if self.token and (self.authorization or getattr(self, "oauth2", None)):
            message = "at most one of consul SD token, authorization, or oauth2 can be configured"
            yield Fault(message, "keep one of them")

    @property
    def http(self) -> HttpClientConfig:
        """The keys of the HTTP client, `username` and `password` as what they stand for."""
        keys = {name: getattr(self, name) for name in HttpClientConfig.model_fields}
        if self.username or self.password:
            keys["basic_auth"] = BasicAuth(username=self.username, password=self.password)
        return HttpClientConfig.model_construct(**keys)
