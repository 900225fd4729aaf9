"""What a status and a backend's words mean: the one table.

Sources: remote write 1.0 and 2.0 (5xx and 429 may be sent again, other 4xx must not), Loki's push API, and the texts
that Prometheus, Mimir, Cortex, Thanos, VictoriaMetrics and Loki write into the body of a 4xx.
"""

from __future__ import annotations

from http import HTTPStatus

from pipeline.clients.outcome import Delivered, Outcome, Refused, Rejected, Retry

OUT_OF_ORDER = "out_of_order"
DUPLICATE = "duplicate"
SEEN_BEFORE = frozenset({OUT_OF_ORDER, DUPLICATE})
"""The reasons that a backend gives for what it may have had from us before."""

REJECTED = {
    400: "bad_request",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
}
REFUSED = {401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
AGAIN = frozenset({408, 425, 429})

# The first phrase found wins, in lower case. Each is a part of a message of the backend named.
_WORDS = (
    ("err-mimir-sample-duplicate", DUPLICATE),
    ("duplicate sample", DUPLICATE),  # Prometheus, Thanos
    ("duplicate timestamp", DUPLICATE),  # Cortex
    ("too far in the future", "too_far_ahead"),  # Mimir
    ("too far into the future", "too_far_ahead"),  # Prometheus
    ("timestamp too new", "too_far_ahead"),  # Loki, Cortex
    ("err-mimir-sample-timestamp-too-old", "too_old"),
    ("out of order", OUT_OF_ORDER),  # Prometheus, Cortex, Thanos, Loki
    ("out-of-order", OUT_OF_ORDER),  # Mimir
    ("too far behind", OUT_OF_ORDER),  # Loki: behind the newest entry of its stream
    ("out of bounds", "too_old"),  # Prometheus
    ("too old", "too_old"),  # Prometheus, Loki, Mimir
    ("err-mimir-max-", "limit"),
    ("limit", "limit"),
)
DETAIL_BYTES = 2048
_SHORT = 200


def classify(status: int, words: str, after_s: float | None) -> Outcome:
    """The outcome of an answer. `words` is the beginning of its body, `after_s` its Retry-After."""
    if 200 <= status < 300:
        return Delivered()
    if status in REJECTED:
        return Rejected(reason=_reason(status, words), detail=words, status=status)
    said = _said(status, words)
    if status >= 500 or status in AGAIN:
        return Retry(said, after_s)
    if 300 <= status < 400:
        return Refused("redirected", f"{said} (follow_redirects is off, or the answer does not say where to)")
    return Refused(REFUSED.get(status, "refused"), said)


def _reason(status: int, words: str) -> str:
    if status != 413:
        lower = words.lower()
        for phrase, reason in _WORDS:
            if phrase in lower:
                return reason
    return REJECTED[status]


def _said(status: int, words: str) -> str:
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    line = " ".join(words.split())[:_SHORT]
    return f"{status}{phrase}: {line}" if line else f"{status}{phrase}"
