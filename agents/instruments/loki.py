"""A logs backend's requests under the names of Loki's own clients: Promtail's, and those of Alloy's loki.write.

Source: Loki 3, clients/pkg/promtail/client/client.go; Alloy 1, internal/component/common/loki/client/metrics.go. Both
count lines lost as dropped, with a reason of their own short list; what the backend said stands with the dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agents.instruments.instruments import Instruments, newest_ms
from pipeline.clients.outcome import Delivered, Rejected
from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.content.batch import Piece
    from agents.lanes.lane import Lane
    from pipeline.clients.outcome import Outcome
    from pipeline.clock import Clock
    from pipeline.telemetry.metrics import Telemetry

REASONS = ("ingester_error", "rate_limited", "stream_limited", "line_too_long")
NO_ANSWER = "-1"
MOST_TENANTS, OTHERS = 500, "(others)"
_STREAM_LIMITED = frozenset({"stream_limit", "per_stream_rate_limit"})


class LokiInstruments(Instruments):
    """See the module. `url` without credentials; `tenant` is what the configuration says, where no record says more."""

    def __init__(self, backend: str, url: str, telemetry: Telemetry, clock: Clock, *, tenant: str = "") -> None:
        super().__init__(backend, telemetry)
        self._host = urlsplit(url).netloc
        self._tenant = tenant
        self._clock = clock
        self._telemetry = telemetry
        self._encoded = telemetry.counter(catalogue.PROMTAIL_ENCODED_BYTES).labels(self._host)
        self._sent_bytes = telemetry.counter(catalogue.PROMTAIL_SENT_BYTES).labels(self._host)
        self._sent_entries = telemetry.counter(catalogue.PROMTAIL_SENT_ENTRIES).labels(self._host)
        self._seconds_by_status = telemetry.histogram(catalogue.PROMTAIL_SECONDS)
        self._retries = telemetry.counter(catalogue.PROMTAIL_RETRIES)
        self._dropped_entries = telemetry.counter(catalogue.PROMTAIL_DROPPED_ENTRIES)
        self._dropped_bytes = telemetry.counter(catalogue.PROMTAIL_DROPPED_BYTES)
        self._known_tenants: dict[str, _Tenant] = {}
        self._of(tenant)

    def sent(self, lane: Lane, pieces: Sequence[Piece], outcome: Outcome, *, took_s: float, size_bytes: int) -> None:
        """See `Instruments.sent`."""
        super().sent(lane, pieces, outcome, took_s=took_s, size_bytes=size_bytes)
        tenant = self._of(pieces[0].tenant.decode(errors="replace") or self._tenant)
        status = str(outcome.status) if outcome.status else NO_ANSWER
        self._seconds_by_status.labels(status, self._host).observe(took_s)
        tenant.seconds.labels(status, self._host, tenant.name).observe(took_s)
        self._encoded.inc(size_bytes)
        tenant.encoded.inc(size_bytes)
        if isinstance(outcome, Delivered):
            entries = sum(piece.items for piece in pieces)
            self._sent_bytes.inc(size_bytes)
            tenant.sent_bytes.inc(size_bytes)
            self._sent_entries.inc(entries)
            tenant.sent_entries.inc(entries)
            newest_s = max(newest_ms(piece.record) for piece in pieces) / 1000
            tenant.latency.observe(max(self._clock.now() - newest_s, 0.0))
        elif not isinstance(outcome, Rejected):
            self._retries.labels(self._host, tenant.name).inc()
            tenant.retries.inc()

    def failed(self, lane: Lane, piece: Piece, reason: str) -> None:
        """See `Instruments.failed`."""
        del lane
        tenant = self._of(piece.tenant.decode(errors="replace") or self._tenant)
        why = "stream_limited" if reason in _STREAM_LIMITED else reason if reason in REASONS else REASONS[0]
        labels = (self._host, tenant.name, why)
        self._dropped_entries.labels(*labels).inc(piece.items)
        self._dropped_bytes.labels(*labels).inc(len(piece.block))
        tenant.dropped_entries.labels(*labels).inc(piece.items)
        tenant.dropped_bytes.labels(*labels).inc(len(piece.block))

    def forget(self) -> None:
        """See `Instruments.forget`."""
        for metric in catalogue.LOKI_CLIENTS:
            self._telemetry.remove(metric, host=self._host)

    def _of(self, name: str) -> _Tenant:
        tenant = self._known_tenants.get(name)
        if tenant is None and name != OTHERS and len(self._known_tenants) >= MOST_TENANTS:
            return self._of(OTHERS)
        if tenant is None:
            tenant = self._known_tenants[name] = _Tenant(self._telemetry, self._host, name)
            # As Promtail does: what stands at 0 from the beginning can have a rate.
            self._retries.labels(self._host, name)
            for reason in REASONS:
                self._dropped_entries.labels(self._host, name, reason)
                self._dropped_bytes.labels(self._host, name, reason)
        return tenant


class _Tenant:
    """The counters of loki.write for one tenant."""

    def __init__(self, telemetry: Telemetry, host: str, name: str) -> None:
        self.name = name
        self.encoded = telemetry.counter(catalogue.LOKI_ENCODED_BYTES).labels(host, name)
        self.sent_bytes = telemetry.counter(catalogue.LOKI_SENT_BYTES).labels(host, name)
        self.sent_entries = telemetry.counter(catalogue.LOKI_SENT_ENTRIES).labels(host, name)
        self.retries = telemetry.counter(catalogue.LOKI_RETRIES).labels(host, name)
        self.latency = telemetry.histogram(catalogue.LOKI_LATENCY).labels(host, name)
        self.seconds = telemetry.histogram(catalogue.LOKI_SECONDS)
        self.dropped_entries = telemetry.counter(catalogue.LOKI_DROPPED_ENTRIES)
        self.dropped_bytes = telemetry.counter(catalogue.LOKI_DROPPED_BYTES)
        for reason in REASONS:
            self.dropped_entries.labels(host, name, reason)
            self.dropped_bytes.labels(host, name, reason)
