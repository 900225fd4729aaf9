"""Targets from an HTTP endpoint. Rules: Prometheus's discovery/http."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import orjson

from pipeline.config.http import redacted_url
from pipeline.config.units import SECRET_TEXT
from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.groups import groups_of
from pipeline.discovery.refresh import refresh
from pipeline.discovery.target_group import TargetGroup
from pipeline.http_client import HttpClient
from pipeline.http_client.errors import HttpFailed

if TYPE_CHECKING:
    from pipeline.config.sd.http import HttpSDConfig
    from pipeline.discovery.discoverer import Publish, Surroundings

_JSON = re.compile(r'application/json(;\s*charset=("utf-8"|utf-8))?', re.IGNORECASE)
_OK = 200


def discoverer(settings: HttpSDConfig, around: Surroundings) -> HttpDiscovery:
    """One entry of `http_sd_configs`."""
    return HttpDiscovery(settings, around)


class HttpDiscovery:
    """One entry of `http_sd_configs`."""

    def __init__(self, config: HttpSDConfig, around: Surroundings) -> None:
        self._config = config
        self._around = around
        self._shown = redacted_url(config.url)
        self._label = _without_password(config.url)
        self._count = 0

    async def run(self, publish: Publish) -> None:
        """Ask every `refresh_interval`, until cancelled."""
        async with HttpClient(self._config) as client:
            await refresh(lambda: self._look(client), self._config.refresh_interval, self._around, publish)

    async def _look(self, client: HttpClient) -> list[TargetGroup]:
        seconds = self._config.refresh_interval
        headers = {"Accept": "application/json", "X-Prometheus-Refresh-Interval-Seconds": f"{seconds:.15g}"}
        try:
            answer = await client.get(self._config.url, timeout_s=seconds, headers=headers)
        except HttpFailed as error:
            raise DiscoveryFailed(str(error)) from None
        if answer.status != _OK:
            raise DiscoveryFailed(f"{self._shown}: the server answered {answer.status} {answer.reason}".rstrip())
        if not _JSON.fullmatch(answer.content_type.strip()):
            raise DiscoveryFailed(
                f'{self._shown}: the answer is of the type "{answer.content_type}", not application/json'
            )
        try:
            data = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise DiscoveryFailed(f"{self._shown}: not JSON: {error}") from None
        groups = list(groups_of(data, self._shown, source=self._config.url, more={"__meta_url": self._label}))
        gone = [TargetGroup(f"{self._config.url}:{index}", (), {}) for index in range(len(groups), self._count)]
        self._count = len(groups)
        return groups + gone


def _without_password(url: str) -> str:
    """The url as a label: all of it but the password, which pages and Kafka must not see."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", f":{SECRET_TEXT}@")))
