"""One GET of a target: what is asked for, what is taken for an answer."""

from __future__ import annotations

from email.message import Message
from typing import TYPE_CHECKING

from pipeline.http_client import HttpFailed
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from pipeline.config.scrape import ScrapeConfig
    from pipeline.http_client import HttpClient
    from pipeline.scrape.target import Target

# The protocols that are read today, each with its place in the Accept header.
_ACCEPT = {
    "PrometheusText1.0.0": "text/plain;version=1.0.0;escaping=allow-utf-8",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}


def accept_header(protocols: tuple[str, ...]) -> str:
    """The protocols in the order preferred, each with a lower weight than the one before, and anything else last."""
    known = [_ACCEPT[protocol] for protocol in protocols if protocol in _ACCEPT]
    weight = len(known) + 1
    wanted = [f"{media_type};q=0.{weight - place}" for place, media_type in enumerate(known)]
    return ",".join([*wanted, f"*/*;q=0.{weight - len(known)}"])


class Fetcher:
    """Fetches the targets of one job."""

    def __init__(self, config: ScrapeConfig, client: HttpClient) -> None:
        self._client = client
        self._fallback = config.fallback_scrape_protocol is not None
        self._headers = {
            "Accept": accept_header(config.scrape_protocols),
            "Accept-Encoding": "gzip" if config.enable_compression else "identity",
        }

    async def fetch(self, target: Target) -> bytes:
        """The body, decompressed. Raises ScrapeFailed; cancelling is safe."""
        headers = {**self._headers, "X-Prometheus-Scrape-Timeout-Seconds": f"{target.timeout_s:g}"}
        try:
            answer = await self._client.get(target.url, timeout_s=target.timeout_s, headers=headers)
        except HttpFailed as error:
            raise ScrapeFailed(str(error)) from None
        if answer.status != 200:
            raise ScrapeFailed(f"server returned HTTP status {answer.status} {answer.reason}".rstrip())
        self._check_type(answer.content_type)
        return answer.body

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
