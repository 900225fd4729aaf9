"""What each kind of backend means by its answers: the one table, by profile.

An answer is read by its status first (`classify.py`), then by the backend's own words: the first phrase found wins.
Sources: storage/interface.go and storage/remote/write_handler.go (Prometheus), the catalogue of error ids (Mimir),
pkg/receive/handler.go (Thanos), pkg/validation/validate.go (Loki), the service limits of Amazon Managed Service for
Prometheus and of Azure Monitor workspaces. VictoriaMetrics stores whatever it can parse, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

OUT_OF_ORDER = "out_of_order"
DUPLICATE = "duplicate"
TOO_OLD = "too_old"
TOO_FAR_AHEAD = "too_far_ahead"
LIMIT = "limit"
TOO_FAR_BEHIND = "too_far_behind"

SEEN_BEFORE = frozenset({OUT_OF_ORDER, DUPLICATE, TOO_FAR_BEHIND})
"""The reasons that a backend gives for what it may have had from us before."""


class Meaning(StrEnum):
    """What follows from an answer."""

    REJECTED = "rejected"  # this content, never
    REFUSED = "refused"  # nothing of ours, until somebody mends it


@dataclass(frozen=True, slots=True)
class Saying:
    """A phrase, in lower case, that a backend's answer holds, and what it says of the request."""

    phrase: str
    reason: str
    meaning: Meaning = Meaning.REJECTED


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of backend. `statuses`: those that mean something else here than they do in HTTP."""

    name: str
    sayings: tuple[Saying, ...]
    statuses: Mapping[int, tuple[Meaning, str]] = field(default_factory=dict)
    takes_out_of_order: bool = False


_PROMETHEUS = (
    Saying("duplicate sample", DUPLICATE),
    Saying("too far in the future", TOO_FAR_AHEAD),  # of Prometheus 3: "out of bounds: timestamp is …"
    Saying("too far into the future", TOO_FAR_AHEAD),
    Saying("out of order", OUT_OF_ORDER),
    Saying("out of bounds", TOO_OLD),
    Saying("too old", TOO_OLD),
)
_CORTEX = (
    Saying("duplicate timestamp", DUPLICATE),
    Saying("timestamp too new", TOO_FAR_AHEAD),
    Saying("timestamp too old", TOO_OLD),
    Saying("limit", LIMIT),
)
_MIMIR = (
    Saying("err-mimir-sample-duplicate", DUPLICATE),
    Saying("err-mimir-sample-out-of-order", OUT_OF_ORDER),
    Saying("err-mimir-sample-timestamp-too-old", TOO_OLD),
    Saying("too far in the future", TOO_FAR_AHEAD),
    Saying("too far in the past", TOO_OLD),
    Saying("err-mimir-max-", LIMIT),
    Saying("out-of-order", OUT_OF_ORDER),
    *_PROMETHEUS,
    Saying("limit", LIMIT),
)
# Loki's reasons are its own: they are what its dashboards and its loki_discarded_samples_total say.
_LOKI = (
    Saying("ingestion blocked for user", "blocked_ingestion", Meaning.REFUSED),
    Saying("this feature is disallowed", "disallowed_structured_metadata", Meaning.REFUSED),
    Saying("has structured metadata too large", "structured_metadata_too_large"),
    Saying("has too many structured metadata labels", "structured_metadata_too_many"),
    Saying("max entry size", "line_too_long"),
    Saying("has timestamp too old", "greater_than_max_sample_age"),
    Saying("has timestamp too new", "too_far_in_future"),
    Saying("entry too far behind", TOO_FAR_BEHIND),
    Saying("entry out of order", OUT_OF_ORDER),
    Saying("has label name too long", "label_name_too_long"),
    Saying("has label value too long", "label_value_too_long"),
    Saying("has duplicate label name", "duplicate_label_names"),
    Saying("label names; limit", "max_label_names_per_series"),
    Saying("missing required labels", "missing_enforced_labels"),
    Saying("at least one label pair is required", "missing_labels"),
    Saying("error parsing labels", "invalid_labels"),
    Saying("maximum active stream limit exceeded", "stream_limit"),
    Saying("per stream rate limit exceeded", "per_stream_rate_limit"),
    Saying("ingestion rate limit exceeded", "rate_limited"),
    Saying("limit", LIMIT),
)

_ALL = (
    Profile("prometheus", _PROMETHEUS),
    Profile("mimir", _MIMIR),
    Profile("thanos", (*_PROMETHEUS, Saying("limit", LIMIT))),
    Profile("victoriametrics", (), takes_out_of_order=True),
    Profile("amp", (*_PROMETHEUS, *_CORTEX)),
    Profile("azure", (*_PROMETHEUS, *_CORTEX)),
    # Loki answers with a status of 2xx of the operator's choice, 260 by default, when it has thrown a push away because
    # the tenant is blocked: to a sender that looks at the first digit only, those lines were delivered.
    Profile("loki", _LOKI, {260: (Meaning.REFUSED, "blocked_ingestion")}),
    Profile("generic", (*_MIMIR[:-1], *_CORTEX)),
)
PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in _ALL}
GENERIC, LOKI = PROFILES["generic"], PROFILES["loki"]
