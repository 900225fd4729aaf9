"""POST one snappy body and say what became of it: the part that all push protocols share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from pipeline.clients.backoff import retry_after_s
from pipeline.clients.classify import DETAIL_BYTES, classify
from pipeline.clients.outcome import Delivered, Load, Outcome, Refused, Rejected, Retry
from pipeline.clients.profiles import GENERIC
from pipeline.clients.signing.signer import NotSigned
from pipeline.http_client import HttpClient, HttpFailed, beginning
from pipeline.http_client.errors import TimedOut
from topics.errors import BadRecord, InvalidLabels

if TYPE_CHECKING:
    from pipeline.clients.profiles import Profile
    from pipeline.clients.signing.signer import Signer
    from pipeline.clock import Clock
    from pipeline.config.http import HttpClientConfig


TENANT = "X-Scope-OrgID"
_TENANT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,148}[\x21-\x7e])?")


def valid_tenant(tenant: str) -> bool:
    """Whether it can be a header's value. What else a tenant may be, the backend knows."""
    return _TENANT.fullmatch(tenant) is not None


def invalid_tenant(tenant: str) -> Rejected:
    """The outcome of what belongs to such a tenant."""
    return Rejected("invalid_tenant", f"{tenant[:40]!r} cannot be a header of a request", 0)


def with_tenant(headers: Mapping[str, str], tenant: str) -> Mapping[str, str]:
    """The headers with this tenant in the place of any other."""
    if not tenant:
        return headers
    others = {name: value for name, value in headers.items() if name.lower() != TENANT.lower()}
    return others | {TENANT: tenant}


class Client(Protocol):
    """A backend, as the delivering side sees it."""

    async def send(self, body: bytes, tenant: str = "", attempt: int = 0) -> Outcome:
        """Send one request body (a snappy block) once. Never raises for what the network or the backend does.

        `tenant`: whose the content is, where a stage or a sender said so; it outranks the configured one.
        `attempt`: how often this request was sent before.

        Cancelling is safe, but says nothing: the backend may or may not have the body.
        """

    async def close(self) -> None:
        """Close connections. May be called twice."""


@runtime_checkable
class JoinedClient(Client, Protocol):
    """A client to which it makes a difference what a body was joined from."""

    async def send_joined(
        self, body: bytes, parts: Sequence[tuple[int, int]], tenant: str = "", attempt: int = 0
    ) -> Outcome:
        """As `send`. `parts`: how many bytes each of the joined blocks decodes to, and how many its elements are."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` 0: nothing did."""

    outcome: Outcome
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


class PushClient:
    """A `Client` over HTTP. Use as ``async with``, or `open` and `close`, inside a running loop."""

    def __init__(
        self,
        config: HttpClientConfig,
        *,
        url: str,
        timeout_s: float,
        headers: Mapping[str, str],
        clock: Clock,
        profile: Profile = GENERIC,
        encode: Callable[[bytes], bytes] = bytes,
        signer: Signer | None = None,
        attempts: str = "",
        spread: bool = False,
    ) -> None:
        """`encode` makes of a snappy block what this backend wants to have.

        `attempts`: the header that tells how often a request was sent before, where the protocol has one. `spread`:
        see `HttpClient`.
        """
        self._http = HttpClient(config, spread=spread)
        self._url = url
        self._timeout_s = timeout_s
        self._headers = dict(headers)
        self._clock = clock
        self._profile = profile
        self._encode = encode
        self._signer = signer
        self._attempts = attempts

    async def open(self) -> None:
        """Ready for `send`; connects to nothing yet."""
        await self._http.__aenter__()

    async def close(self) -> None:
        """Close connections; requests in flight fail. May be called twice."""
        await self._http.close()
        if self._signer is not None:
            await self._signer.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, body: bytes, tenant: str = "", attempt: int = 0) -> Outcome:
        """POST the body once; see `Client.send`."""
        if tenant and not valid_tenant(tenant):
            return invalid_tenant(tenant)
        try:
            encoded = self._encode(body)
        except (BadRecord, InvalidLabels) as error:
            return Rejected("unreadable", str(error), 0)
        return (await self._post(encoded, with_tenant(self._headers, tenant), attempt)).outcome

    async def _post(self, body: bytes, headers: Mapping[str, str], attempt: int = 0) -> Answer:
        """One request, and what came back."""
        if attempt and self._attempts:
            headers = {**headers, self._attempts: str(attempt)}
        if self._signer is not None:
            try:
                headers = {**headers, **await self._signer.headers("POST", self._url, headers, body)}
            except NotSigned as error:
                return Answer(Retry(str(error)) if error.retriable else Refused("credentials_unavailable", str(error)))
        request = self._http.request("POST", self._url, timeout_s=self._timeout_s, headers=headers, body=body)
        try:
            async with request as response:
                if 200 <= response.status < 300 and response.status not in self._profile.statuses:
                    # Said in the head: a body that is cut off does not take it back.
                    return Answer(Delivered(status=response.status), response.status, response.headers)
                words = (await beginning(response, DETAIL_BYTES)).decode("utf-8", "replace").strip()
                after_s = retry_after_s(response.headers.get("Retry-After"), self._clock.now())
                outcome = classify(response.status, words, after_s, self._profile)
                return Answer(outcome, response.status, response.headers)
        except HttpFailed as failed:
            if failed.retriable:
                return Answer(Retry(str(failed), load=Load.HEAVY if failed.reason == TimedOut.reason else Load.UNKNOWN))
            return Answer(Refused(failed.reason, str(failed)))
