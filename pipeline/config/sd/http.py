"""`http_sd_configs`: targets from an endpoint that answers with a list of groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from pipeline.config.http import URL, HttpClientConfig
from pipeline.config.sd.kind import Kind
from pipeline.config.section import Fault
from pipeline.config.units import Duration, above_zero


class HttpSDConfig(Kind, HttpClientConfig):
    """An endpoint, and how to speak to it."""

    KIND: ClassVar[str] = "http"
    MEANING: ClassVar[str] = "Targets from an HTTP endpoint."
    MEANINGS: ClassVar[dict[str, str]] = {
        "url": "The endpoint; it answers `application/json`, a list of groups as in `file_sd_configs`.",
        "refresh_interval": "How often to ask, and how long an answer may take.",
    }

    url: URL = Field(repr=False)
    refresh_interval: Annotated[Duration, above_zero("60s")] = 60.0

    def faults(self) -> Iterator[Fault]:
        """As Prometheus checks them."""
        yield from super().faults()
        if urlsplit(self.url).scheme not in ("http", "https"):
            yield Fault("URL scheme must be 'http' or 'https'", "use one of them", ("url",))
