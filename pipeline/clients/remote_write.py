"""Remote write 1.0 and 2.0: what makes a push a remote write.

Sources: https://prometheus.io/docs/specs/prw/remote_write_spec/ and …/remote_write_spec_2_0/ (protocol, headers,
"Required Written Response Headers", "Unsupported Media Type").
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypedDict

from pipeline.clients.families import Families
from pipeline.clients.outcome import Delivered, Rejected
from pipeline.clients.profiles import PROFILES, Profile
from pipeline.clients.push import Answer, PushClient, invalid_tenant, valid_tenant, with_tenant
from pipeline.clients.request_v2 import Translator
from pipeline.clients.signing.signer import Signer, signer_of
from topics import compression, write_request
from topics.errors import BadRecord, InvalidLabels

if TYPE_CHECKING:
    from pipeline.clients.outcome import Outcome
    from pipeline.clients.request_v2 import Translated
    from pipeline.clock import Clock
    from pipeline.config.remote_write import RemoteWriteConfig

log = logging.getLogger(__name__)

_VERSION = "X-Prometheus-Remote-Write-Version"
HEADERS = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", _VERSION: "0.1.0"}
HEADERS_V2 = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    _VERSION: "2.0.0",
}
V2 = "io.prometheus.write.v2.Request"
_ATTEMPT = "Retry-Attempt"
_MOST_SHOWN = 64 * 1024
_WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


class RemoteWriteClient(PushClient):
    """1.0. Metadata of metric families goes in requests of its own."""

    def __init__(self, settings: RemoteWriteConfig, headers: Mapping[str, str], clock: Clock) -> None:
        """`headers`: of every request."""
        super().__init__(settings, **_request(settings, headers, clock), clock=clock)
        self._name = settings.name
        self._shows_failed = settings.failed_request_logging

    async def send(self, body: bytes, tenant: str = "", attempt: int = 0) -> Outcome:
        """See `Client.send`."""
        outcome = await self._send(body, tenant, attempt)
        if self._shows_failed and not isinstance(outcome, Delivered) and log.isEnabledFor(logging.DEBUG):
            log.debug("backend %s: %s; the request was: %s", self._name, outcome, _shown(body))
        return outcome

    async def _send(self, body: bytes, tenant: str, attempt: int) -> Outcome:
        return await super().send(body, tenant, attempt)

    @property
    def describes(self) -> bool:
        """Whether metadata is to be sent by itself: 2.0 has it with each series."""
        return True

    async def describe(self, body: bytes, tenant: str = "", attempt: int = 0) -> Outcome:
        """Send a body of metadata alone; as `send`."""
        return await self.send(body, tenant, attempt)


class RemoteWrite2Client(RemoteWriteClient):
    """2.0 for as long as the receiver takes it, and 1.0 from then on, until the configuration is read again.

    A receiver that does not know 2.0 answers 415, or 2xx without a word on what it has written: that one may have read
    an empty message, so nothing counts as delivered, and the same samples go again as 1.0. Some of 1.0 answer 400:
    until a receiver has said once what it has written, its 400 is put to the test with 1.0.
    """

    def __init__(
        self, settings: RemoteWriteConfig, headers: Mapping[str, str], clock: Clock, families: Families
    ) -> None:
        """`headers`: those that the configuration adds; `families`: what series are described with."""
        super().__init__(settings, {**headers, **HEADERS_V2}, clock)
        self._first = {**headers, **HEADERS}
        self._first_only = False
        self._confirmed = False
        self._short = False
        self._translator = Translator(families)
        self._parts: Sequence[tuple[int, int]] = ()

    @property
    def describes(self) -> bool:
        """See `RemoteWriteClient`."""
        return self._first_only

    async def send_joined(
        self, body: bytes, parts: Sequence[tuple[int, int]], tenant: str = "", attempt: int = 0
    ) -> Outcome:
        """See `JoinedClient.send_joined`."""
        self._parts = parts  # taken up before anything is waited for
        return await self.send(body, tenant, attempt)

    async def _send(self, body: bytes, tenant: str, attempt: int) -> Outcome:
        parts, self._parts = self._parts, ()
        if tenant and not valid_tenant(tenant):
            return invalid_tenant(tenant)
        if self._first_only:
            return (await self._post_first(body, tenant, attempt)).outcome
        try:
            translated = self._translator.translate(body, parts)
        except (BadRecord, InvalidLabels) as error:
            return Rejected("unreadable", str(error), 0)
        if not translated.block:
            return Delivered()  # exemplars without their samples: no receiver takes them
        answer = await self._post(translated.block, with_tenant(self._headers, tenant), attempt)
        written = Written.said(answer.headers)
        self._confirmed = self._confirmed or written is not None
        doubt = self._doubt(answer, written, translated)
        if not doubt:
            return self._counted(answer.outcome, written, translated)
        again = (await self._post_first(body, tenant, attempt)).outcome
        if answer.status != HTTPStatus.BAD_REQUEST or isinstance(again, Delivered):
            log.warning("backend %s %s to remote write 2.0: it gets 1.0 from now on", self._name, doubt)
            self._first_only = True
        return again

    async def _post_first(self, body: bytes, tenant: str, attempt: int) -> Answer:
        return await self._post(body, with_tenant(self._first, tenant), attempt)

    def _doubt(self, answer: Answer, written: Written | None, sent: Translated) -> str:
        """Why the receiver may not know 2.0, in words; empty when nothing says so."""
        if answer.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return "answers 415"
        if written is None and isinstance(answer.outcome, Delivered) and _has_data(sent):
            return "does not say what it has written"
        return "answers 400" if answer.status == HTTPStatus.BAD_REQUEST and not self._confirmed else ""

    def _counted(self, outcome: Outcome, written: Written | None, sent: Translated) -> Outcome:
        """The outcome of a request that was understood, with what the receiver left out of it in spite of a 2xx."""
        if written is None or not isinstance(outcome, Delivered):
            return outcome
        unwritten = max(sent.samples - written.samples, 0) + max(sent.histograms - written.histograms, 0)
        if unwritten and not self._short:
            log.warning(
                "backend %s answers 2xx, but says that it wrote %d of %d samples and %d of %d histograms: look at its "
                "own rules and limits",
                self._name, written.samples, sent.samples, written.histograms, sent.histograms,
            )  # fmt: skip
        self._short = bool(unwritten)
        return Delivered(unwritten)


def remote_write_client(
    settings: RemoteWriteConfig, clock: Clock, families: Families | None = None
) -> RemoteWriteClient:
    """A client for one `remote_write` entry. Reserved headers are refused when the configuration is read."""
    configured = {name: value.reveal() for name, value in settings.headers.items()}
    if settings.protobuf_message == V2:
        return RemoteWrite2Client(settings, configured, clock, families or Families(clock))
    return RemoteWriteClient(settings, configured | HEADERS, clock)


class _Request(TypedDict):
    url: str
    timeout_s: float
    headers: Mapping[str, str]
    profile: Profile
    signer: Signer | None
    attempts: str
    spread: bool


def _request(settings: RemoteWriteConfig, headers: Mapping[str, str], clock: Clock) -> _Request:
    return {
        "url": settings.url,
        "timeout_s": settings.remote_timeout,
        "headers": headers,
        "profile": PROFILES[settings.profile],
        "signer": signer_of(settings, clock),
        "attempts": _ATTEMPT,
        "spread": settings.round_robin_dns,
    }


def _shown(body: bytes) -> str:
    """A body for people, as far as one wants to read it."""
    try:
        return write_request.text(compression.decompress(body))[:_MOST_SHOWN]
    except BadRecord as error:
        return f"{len(body)} bytes that cannot be read ({error})"


def _has_data(sent: Translated) -> bool:
    return bool(sent.samples or sent.histograms or sent.exemplars)


@dataclass(frozen=True, slots=True)
class Written:
    """What a receiver says that it has written."""

    samples: int
    histograms: int

    @classmethod
    def said(cls, headers: Mapping[str, str]) -> Written | None:
        """None where it says nothing, or nothing that can be read. A kind that is not mentioned was not written."""
        found = [headers.get(_WRITTEN.format(kind)) for kind in ("Samples", "Histograms", "Exemplars")]
        if not any(found) or not all(text is None or (text.isascii() and text.isdigit()) for text in found):
            return None
        samples, histograms, _ = (int(text or 0) for text in found)
        return cls(samples, histograms)
