"""What a status means, in HTTP and in the profile of the backend.

Sources: remote write 1.0 and 2.0 (5xx and 429 may be sent again, other 4xx must not) and Loki's push API; the words
that decide between them are in `profiles.py`.
"""

from __future__ import annotations

from http import HTTPStatus

from pipeline.clients.outcome import Delivered, Load, Outcome, Refused, Rejected, Retry
from pipeline.clients.profiles import GENERIC, Meaning, Profile, Saying

REJECTED = {
    400: "bad_request",
    409: "conflict",
    413: "too_large",
    422: "unprocessable",
}
REFUSED = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    415: "unsupported_media_type",  # of any content: the wrong protocol, not a wrong sample
}
AGAIN = frozenset({408, 425, 429})
HEAVY = frozenset({408, 429, 504})
"""Answers that a smaller request may not get: too slow to read, or above a limit of bytes or items a second."""

DETAIL_BYTES = 2048
_SHORT = 200


def classify(status: int, words: str, after_s: float | None, profile: Profile = GENERIC) -> Outcome:
    """The outcome of an answer. `words` is the beginning of its body, `after_s` its Retry-After."""
    if status in profile.statuses:
        meaning, reason = profile.statuses[status]
        return _outcome(meaning, reason, status, words)
    if 200 <= status < 300:
        return Delivered(status=status)
    if status in REJECTED:
        saying = _saying(profile, words) if status != 413 else None
        if saying is None:
            return Rejected(REJECTED[status], words, status)
        return _outcome(saying.meaning, saying.reason, status, words)
    said = _said(status, words)
    if status >= 500 or status in AGAIN:
        return Retry(said, after_s, Load.HEAVY if status in HEAVY else Load.BUSY, status)
    if 300 <= status < 400:
        said = f"{said} (follow_redirects is off, or the answer does not say where to)"
        return Refused("redirected", said, status)
    return Refused(REFUSED.get(status, "refused"), said, status)


def _outcome(meaning: Meaning, reason: str, status: int, words: str) -> Outcome:
    if meaning is Meaning.REFUSED:
        return Refused(reason, _said(status, words), status)
    return Rejected(reason, words, status)


def _saying(profile: Profile, words: str) -> Saying | None:
    lower = words.lower()
    return next((saying for saying in profile.sayings if saying.phrase in lower), None)


def _said(status: int, words: str) -> str:
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    line = " ".join(words.split())[:_SHORT]
    return f"{status}{phrase}: {line}" if line else f"{status}{phrase}"
