"""Which proxy to go through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, model_validator

from pipeline.config.environment import Context, ExpandedSecret, ExpandedText
from pipeline.config.section import Fault, Section, fault
from pipeline.config.units import NONE_IF_EMPTY, Boolean, Text
from pipeline.config.url import URL

# As Go reads them: the first that is set to something counts.
_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD")


def _spoken(url: str | None) -> str | None:
    if url is not None and urlsplit(url).scheme not in ("http", "https"):
        raise fault("headrace speaks to http and https proxies only", "use a proxy of one of these schemes")
    return url


class ProxyConfig(Section):
    """The keys of a proxy: those of a section that talks to somebody."""

    proxy_url: Annotated[URL | None, NONE_IF_EMPTY, AfterValidator(_spoken)] = Field(default=None, repr=False)
    no_proxy: ExpandedText = ""
    proxy_from_environment: Boolean = False
    proxy_connect_header: dict[Text, tuple[ExpandedSecret, ...]] = Field(default_factory=dict)

    _variables: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _look_around(self, info: ValidationInfo) -> Self:
        if self.proxy_from_environment and isinstance(info.context, Context):
            environ = info.context.environ
            self._variables = {name: environ[name] for name in _VARIABLES if name in environ}
        return self

    @property
    def proxy_variables(self) -> Mapping[str, str]:
        """The environment's words about proxies; none unless `proxy_from_environment` is set."""
        return self._variables

    def faults(self) -> Iterator[Fault]:
        """Keys that go with each other."""
        if self.proxy_connect_header and not (self.proxy_url or self.proxy_from_environment):
            message = "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be"
            yield Fault(message, "add one of the two", ("proxy_connect_header",))
        if self.proxy_from_environment and self.proxy_url:
            message = "if proxy_from_environment is configured, proxy_url must not be"
            yield Fault(message, "remove one of the two", ("proxy_from_environment",))
        if self.proxy_from_environment and self.no_proxy:
            message = "if proxy_from_environment is configured, no_proxy must not be"
            yield Fault(message, "set NO_PROXY in the environment", ("no_proxy",))
        if self.no_proxy and not self.proxy_url and not self.proxy_from_environment:
            yield Fault("if no_proxy is configured, proxy_url must also be", "add proxy_url", ("no_proxy",))
