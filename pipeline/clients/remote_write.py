"""Remote write 1.0 and 2.0: what makes a push a remote write.

Sources: https://prometheus.io/docs/specs/prw/remote_write_spec/ and …/remote_write_spec_2_0/ (protocol, headers,
"Required Written Response Headers", "Unsupported Media Type").
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from pipeline.clients.outcome import Delivered, Rejected
from pipeline.clients.profiles import PROFILES, Profile
from pipeline.clients.push import PushClient, invalid_tenant, valid_tenant, with_tenant
from pipeline.clients.request_v2 import Translator
from pipeline.clients.signing.signer import Signer, signer_of
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
_WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


class RemoteWrite2Client(PushClient):
    """2.0 for as long as the receiver takes it, and 1.0 from then on, until the configuration is read again.

    A receiver that does not know 2.0 answers 415, or 2xx without a word on what it has written: that one may have read
    an empty message, so nothing counts as delivered, and the same samples go again as 1.0.
    """

    def __init__(self, settings: RemoteWriteConfig, headers: Mapping[str, str], clock: Clock) -> None:
        """`headers`: those that the configuration adds."""
        super().__init__(settings, **_request(settings, {**headers, **HEADERS_V2}, clock), clock=clock)
        self._name = settings.name
        self._first = {**headers, **HEADERS}
        self._first_only = False
        self._short = False
        self._translator = Translator()

    async def send(self, body: bytes, tenant: str = "") -> Outcome:
        """See `Client.send`."""
        if tenant and not valid_tenant(tenant):
            return invalid_tenant(tenant)
        if self._first_only:
            return (await self._post(body, with_tenant(self._first, tenant))).outcome
        try:
            translated = self._translator.translate(body)
        except (BadRecord, InvalidLabels) as error:
            return Rejected("unreadable", str(error), 0)
        answer = await self._post(translated.block, with_tenant(self._headers, tenant))
        said = isinstance(answer.outcome, Delivered)
        written = _written(answer.headers) if said else None
        if answer.status == 415 or (said and written is None and _has_data(translated)):
            why = "answers 415" if answer.status == 415 else "does not say what it has written"
            log.warning("backend %s %s to remote write 2.0: it gets 1.0 from now on", self._name, why)
            self._first_only = True
            return (await self._post(body, with_tenant(self._first, tenant))).outcome
        if written is not None:
            self._compare(translated, written)
        return answer.outcome

    def _compare(self, sent: Translated, written: tuple[int, int, int]) -> None:
        short = written[0] < sent.samples or written[1] < sent.histograms
        if short and not self._short:
            log.warning(
                "backend %s answers 2xx, but says that it wrote %d of %d samples and %d of %d histograms: look at its "
                "own rules and limits",
                self._name, written[0], sent.samples, written[1], sent.histograms,
            )  # fmt: skip
        self._short = short


def remote_write_client(settings: RemoteWriteConfig, clock: Clock) -> PushClient:
    """A client for one `remote_write` entry. Reserved headers are refused when the configuration is read."""
    configured = {name: value.reveal() for name, value in settings.headers.items()}
    if settings.protobuf_message == V2:
        return RemoteWrite2Client(settings, configured, clock)
    return PushClient(settings, **_request(settings, configured | HEADERS, clock), clock=clock)


class _Request(TypedDict):
    url: str
    timeout_s: float
    headers: Mapping[str, str]
    profile: Profile
    signer: Signer | None


def _request(settings: RemoteWriteConfig, headers: Mapping[str, str], clock: Clock) -> _Request:
    return {
        "url": settings.url,
        "timeout_s": settings.remote_timeout,
        "headers": headers,
        "profile": PROFILES[settings.profile],
        "signer": signer_of(settings, clock),
    }


def _has_data(sent: Translated) -> bool:
    return bool(sent.samples or sent.histograms or sent.exemplars)


def _written(headers: Mapping[str, str]) -> tuple[int, int, int] | None:
    """Samples, histograms and exemplars that the receiver says it has stored; None when it says nothing of any."""
    found = [headers.get(_WRITTEN.format(kind)) for kind in ("Samples", "Histograms", "Exemplars")]
    if not any(found):
        return None
    samples, histograms, exemplars = (int(text) if text and text.isascii() and text.isdigit() else 0 for text in found)
    return samples, histograms, exemplars
