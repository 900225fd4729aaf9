"""One GET of a target: what is asked for, what is taken for an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.http_client import HttpFailed
from pipeline.http_client.errors import BodyTooLarge
from pipeline.scrape.negotiation import Fetched, accept_header, identify
from pipeline.scrape.scraped import BodySizeExceeded
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from pipeline.config.scrape import ScrapeConfig
    from pipeline.http_client import HttpClient
    from pipeline.scrape.target import Target

__all__ = ["Fetched", "Fetcher"]


class Fetcher:
    """Fetches the targets of one job."""

    def __init__(self, config: ScrapeConfig, client: HttpClient) -> None:
        self._client = client
        self._fallback = config.fallback_scrape_protocol
        self._limit_bytes = config.body_size_limit
        self._headers = {
            "Accept": accept_header(config.scrape_protocols, config.metric_name_escaping_scheme),
            "Accept-Encoding": "gzip" if config.enable_compression else "identity",
        }

    async def fetch(self, target: Target) -> Fetched:
        """Fetch one body. Raises ScrapeFailed; cancelling is safe."""
        headers = {**self._headers, "X-Prometheus-Scrape-Timeout-Seconds": _decimal(target.timeout_s)}
        try:
            answer = await self._client.get(
                target.url, timeout_s=target.timeout_s, headers=headers, limit_bytes=self._limit_bytes
            )
        except BodyTooLarge as error:
            if self._limit_bytes:
                raise BodySizeExceeded from None
            raise ScrapeFailed(str(error)) from None
        except HttpFailed as error:
            raise ScrapeFailed(str(error)) from None
        if answer.status != 200:
            raise ScrapeFailed(f"server returned HTTP status {answer.status} {answer.reason}".rstrip())
        return identify(answer.body, answer.content_type, self._fallback)


def _decimal(seconds: float) -> str:
    """As few digits as tell it, and never an exponent."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".")
