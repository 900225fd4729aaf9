"""URLs of the configuration, and how they are shown: what they may hold of secrets is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, PlainSerializer

from pipeline.config.environment import ExpandedText
from pipeline.config.section import Fault, fault
from pipeline.config.units import SECRET_TEXT


def redacted_url(url: str) -> str:
    """`url` without what it may hold of secrets: user, password, values of the query."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc
    except ValueError:
        return SECRET_TEXT
    if "@" in netloc:
        netloc = f"{SECRET_TEXT}@{netloc.rpartition('@')[2]}"
    query = "&".join(_hidden(part) for part in parts.query.split("&") if part)
    return urlunsplit(parts._replace(netloc=netloc, query=query, fragment=""))


def _hidden(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}={SECRET_TEXT}" if equals else SECRET_TEXT


def _url(value: str) -> str:
    """A URL with a scheme and a host. Which schemes work is for the client to say, at run time."""
    try:
        parts = urlsplit(value)
    except ValueError:
        raise fault("not a URL", "write it whole: http://host:port/path") from None
    try:
        _ = parts.port
    except ValueError:
        raise fault("not a URL: its port is no number up to 65535", "write it whole: http://host:port/path") from None
    if not parts.scheme or not parts.hostname or any(ord(char) <= 0x20 for char in value):
        raise fault("not a URL: a scheme and a host are needed", "write it whole: http://host:port/path")
    return value


URL = Annotated[ExpandedText, AfterValidator(_url), PlainSerializer(redacted_url, when_used="json")]


def unknown_scheme(url: str) -> Iterator[Fault]:
    """A warning, no error: the agent stays up, paused, until a reload gives it another url."""
    if urlsplit(url).scheme not in ("http", "https"):
        yield Fault("headrace sends by http and https only: this backend will be paused", "use one of them", ("url",))
