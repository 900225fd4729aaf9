"""Why a request got no answer, in headrace's own words. The HTTP library's errors end in this package.

::

    HttpFailed                 no answer came; `retriable` tells whether the same request may succeed by itself
    ├── ConnectionFailed       refused, reset, closed in the middle (retriable)
    ├── TimedOut               no whole answer within the time given (retriable)
    ├── UnknownHost            the name does not resolve
    ├── BadTLS                 the handshake failed: certificate, name, or no TLS at the other end
    ├── BadURL                 the scheme is not http or https, or the URL has no host
    ├── TooManyRedirects       the answer only ever points elsewhere
    ├── BodyTooLarge           the answer is larger than it may be
    ├── CredentialsUnreadable  a configured password, token or certificate file cannot be used
    ├── TokenUnavailable       the token server of `oauth2` does not answer, or not now (retriable)
    └── TokenRefused           the token server of `oauth2` gives no token

No message holds a secret: URLs are shown without credentials and query.
"""

from __future__ import annotations

import os
import ssl
from typing import ClassVar

import aiohttp
from yarl import URL

from topics.errors import HeadraceError


class HttpFailed(HeadraceError):
    """No answer came. `reason` is short and bounded, fit for a metric label."""

    reason: ClassVar[str] = "http_failed"


class ConnectionFailed(HttpFailed):
    """Refused, reset, or closed before the answer was whole."""

    reason = "connection_failed"
    retriable = True


class TimedOut(HttpFailed):
    """No whole answer within the time given. What the other end did with the request is not known."""

    reason = "timeout"
    retriable = True


class UnknownHost(HttpFailed):
    """The host name does not resolve."""

    reason = "unknown_host"


class BadTLS(HttpFailed):
    """The TLS handshake failed."""

    reason = "bad_tls"


class BadURL(HttpFailed):
    """A URL that no request can be sent to."""

    reason = "unknown_scheme"


class TooManyRedirects(HttpFailed):
    """More redirects than any honest server needs: a loop, most likely."""

    reason = "too_many_redirects"


class CredentialsUnreadable(HttpFailed):
    """A file with a password, token, key or certificate is missing or unusable."""

    reason = "credentials_unreadable"


class BodyTooLarge(HttpFailed):
    """The answer is larger than it may be; no more of it was read."""

    reason = "body_too_large"


class TokenUnavailable(HttpFailed):
    """The token server does not answer, or has no time now."""

    reason = "token_unavailable"
    retriable = True


class TokenRefused(HttpFailed):
    """The token server gives no token: what it is shown is wrong."""

    reason = "token_refused"


def shown(url: str) -> str:
    """The URL as it may be logged: scheme, host, port and path, without credentials, query and fragment."""
    try:
        parsed = URL(url)
        return str(parsed.with_user(None).with_query(None).with_fragment(None)) if parsed.host else "<unreadable URL>"
    except ValueError:
        return "<unreadable URL>"


def translate(error: Exception, url: str) -> HttpFailed:
    """The library's error as one of ours. `error` is anything a request may raise, but for cancellation."""
    if isinstance(error, HttpFailed):
        return error
    where = shown(url)
    return _refusal(error, where) or _interruption(error, where)


def _refusal(error: Exception, where: str) -> HttpFailed | None:
    """What trying again will not mend."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return UnknownHost(f"{where}: the host name {error.host!r} does not resolve ({error.strerror})")
        case aiohttp.ClientConnectorCertificateError():
            return BadTLS(f"{where}: {_certificate_words(error.certificate_error)}")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return BadTLS(f"{where}: the TLS handshake failed ({_tls_words(error)})")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return BadURL(f"{where}: not an http or https URL")
        case _:
            return None


def _interruption(error: Exception, where: str) -> HttpFailed:
    """What may pass by itself."""
    match error:
        case TimeoutError():
            return TimedOut(f"{where}: no answer in time")
        case aiohttp.ServerDisconnectedError():
            return ConnectionFailed(f"{where}: the server closed the connection without an answer")
        case aiohttp.ClientHttpProxyError():
            return ConnectionFailed(f"{where}: the proxy answered {error.status}")
        case OSError():
            return ConnectionFailed(f"{where}: {_system_words(error)}")
        case _:
            return ConnectionFailed(f"{where}: {type(error).__name__}")


def _system_words(error: OSError) -> str:
    """The system's words for its number; asyncio's own, such as "Connect call failed", say less."""
    if error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    return error.strerror or type(error).__name__


def _certificate_words(error: Exception) -> str:
    words = getattr(error, "verify_message", "") or type(error).__name__
    return f"the server's certificate is not accepted ({words})"


def _tls_words(error: Exception) -> str:
    inner: BaseException = getattr(error, "os_error", error)
    return str(getattr(inner, "reason", None) or type(inner).__name__).lower().replace("_", " ")
