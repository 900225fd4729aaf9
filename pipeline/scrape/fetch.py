"""One GET of a target: what is asked for, what is taken for an answer."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING

from pipeline.http_client import HttpFailed
from pipeline.scrape.negotiation import accept_header
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from pipeline.config.scrape import ScrapeConfig
    from pipeline.http_client import HttpClient
    from pipeline.scrape.target import Target


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body, decompressed, and what it is.

    `protocol`: one of the names that `scrape_protocols` takes. `escaping`: the scheme that the target says its names
    are escaped by, empty if it says none.
    """

    body: bytes
    protocol: str = "PrometheusText0.0.4"
    escaping: str = ""


class Fetcher:
    """Fetches the targets of one job."""

    def __init__(self, config: ScrapeConfig, client: HttpClient) -> None:
        self._client = client
        self._fallback = config.fallback_scrape_protocol is not None
        self._headers = {
            "Accept": accept_header(config.scrape_protocols),
            "Accept-Encoding": "gzip" if config.enable_compression else "identity",
        }

    async def fetch(self, target: Target) -> Fetched:
        """Fetch one body. Raises ScrapeFailed; cancelling is safe."""
        headers = {**self._headers, "X-Prometheus-Scrape-Timeout-Seconds": f"{target.timeout_s:g}"}
        try:
            answer = await self._client.get(target.url, timeout_s=target.timeout_s, headers=headers)
        except HttpFailed as error:
            raise ScrapeFailed(str(error)) from None
        if answer.status != 200:
            raise ScrapeFailed(f"server returned HTTP status {answer.status} {answer.reason}".rstrip())
        self._check_type(answer.content_type)
        return Fetched(answer.body)

    def _check_type(self, content_type: str) -> None:
        """As Prometheus 3: without a Content-Type that is known, only a fallback protocol lets a body be read."""
        if self._fallback:
            return
        if not content_type:
            raise ScrapeFailed("the target sends no Content-Type, and no fallback_scrape_protocol is set for it")
        message = Message()
        message["Content-Type"] = content_type
        if message.get_content_type() != "text/plain" or not content_type.lower().startswith("text/plain"):
            raise ScrapeFailed(
                f'unsupported Content-Type "{content_type}", and no fallback_scrape_protocol is set for the target'
            )
