"""From one URL to the next: redirects by the rules of Go's client, which Prometheus's users know.

Ten requests at most; 301, 302 and 303 go on as a GET; what authenticates stays behind for good once another host was
asked, the original's subdomains excepted.
"""

from __future__ import annotations

from dataclasses import dataclass

from yarl import URL

from pipeline.http_client.errors import BadURL, TooManyRedirects, shown

MOST_REQUESTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})

SENSITIVE = frozenset({
    "authorization", "www-authenticate", "cookie", "cookie2", "proxy-authorization", "proxy-authenticate",
})  # fmt: skip
"""Headers, in small letters, that no other host is shown."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One request on the way. `strange`: another host than the first one was asked, now or before."""

    method: str
    url: URL
    body: bytes | None
    origin: str
    requests: int = 1
    strange: bool = False
    referer: str = ""

    def then(self, status: int, location: str) -> Hop | None:
        """The request that an answer asks for; None when it is the answer. Raises BadURL, TooManyRedirects."""
        if status not in _REDIRECTS or not location:
            return None
        if self.requests >= MOST_REQUESTS:
            raise TooManyRedirects(f"{shown(str(self.url))}: stopped after {MOST_REQUESTS} redirects")
        try:
            pointed = URL(location)
            target = pointed if pointed.scheme else self.url.join(pointed)
        except ValueError:
            raise BadURL(f"{shown(str(self.url))}: the Location of the redirect cannot be read") from None
        url = parsed(str(target))
        same = status in _KEEPS_METHOD or self.method in ("GET", "HEAD")
        return Hop(
            method=self.method if same else "GET",
            url=url,
            body=self.body if status in _KEEPS_METHOD else None,
            origin=self.origin,
            requests=self.requests + 1,
            strange=self.strange or not _belongs(url.host or "", self.origin),
            referer=_referer(self.url, url),
        )


def start(method: str, url: str, body: bytes | None = None) -> Hop:
    """The first request. Raises BadURL."""
    target = parsed(url)
    return Hop(method, target, body, (target.host or "").lower())


def parsed(url: str) -> URL:
    """The URL, which must be http or https and have a host. Raises BadURL."""
    try:
        found = URL(url)
        _ = found.port
    except ValueError:
        raise BadURL("the URL cannot be read") from None
    if found.scheme not in ("http", "https"):
        raise BadURL(f"{shown(url)}: the scheme {found.scheme!r} is unknown; use http or https")
    if not found.host:
        raise BadURL(f"{shown(url)}: the URL has no host")
    return found


def _belongs(host: str, origin: str) -> bool:
    """Whether a host is the original one or below its name. Addresses have no subdomains."""
    host = host.lower()
    if host == origin:
        return True
    return ":" not in host and "%" not in host and host.endswith(f".{origin}")


def _referer(last: URL, following: URL) -> str:
    """Where we come from, but never from a secret place to an open one."""
    if last.scheme == "https" and following.scheme == "http":
        return ""
    return str(last.with_user(None).with_fragment(None))
