"""What a backend's answer means. Expected results are values; only surprises are errors.

`status` of each is the HTTP status that came back, for those who count; 0: none did, or it does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Delivered:
    """The backend has the whole request (2xx). `unwritten`: samples that, by its own account, it did not write."""

    unwritten: int = 0
    status: int = field(default=0, compare=False)


class Load(StrEnum):
    """What a failure says of the load that the backend bears. HEAVY: a smaller request may pass where this did not."""

    UNKNOWN = "unknown"
    BUSY = "busy"
    HEAVY = "heavy"


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: network error, timeout, 5xx, 429. `after_s` is the backend's Retry-After, None where it gave none."""

    reason: str
    after_s: float | None = None
    load: Load = Load.UNKNOWN
    status: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """This content, never: 400, 409, 413, 422. Split the request down to what is bad.

    `reason` is short and bounded (a metric label); `detail` holds the backend's own words, at most 2 KiB.
    """

    reason: str
    detail: str
    status: int


@dataclass(frozen=True, slots=True)
class Refused:
    """This sender, until somebody mends it: 401, 403, 404, 415, bad TLS, unknown host or scheme. The backend pauses."""

    reason: str
    detail: str
    status: int = field(default=0, compare=False)


Outcome = Delivered | Retry | Rejected | Refused
