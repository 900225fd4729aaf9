"""`/ledger`: per backend the equation with its numbers, made of what agents say in `/api/v1/status`.

One view for an agent's own page and for a run's. What an agent of another version does not say is shown as nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TERMS = (
    ("delivered", "delivered"),
    ("ruled_out", "ruled out"),
    ("rejected", "rejected"),
    ("dead_lettered", "dead-lettered"),
    ("pending", "pending"),
)
"""The terms of the sum, as the status has them and as people read them."""
HALF, NEAR = 0.5, 0.8
_TONES = {"delivering": "good", "idle": "good", "retrying": "bad", "paused": "bad"}
_INCIDENTS = {
    "retention": "Kafka had deleted it",
    "log_ended": "the log ended before it",
    "offsets_gone": "Kafka had forgotten the group's offset",
}
_SHOWN = 20


def view(statuses: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the template needs. `statuses`: one a backend; an empty one is an agent that does not answer."""
    backends = [_backend(status) for status in statuses if status.get("backend")]
    return {
        "backends": backends,
        "closed": sum(not one["open"] and not one["missing"] for one in backends if one["known"]),
        "open": sum(bool(one["open"]) for one in backends),
        "missing": sum(bool(one["missing"]) for one in backends),
        "half": HALF,
        "near": NEAR,
    }


def _backend(status: Mapping[str, Any]) -> dict[str, Any]:
    parts = [_part(number, one) for number, one in _numbered(status.get("partitions") or {})]
    ledger = status.get("ledger") or {}
    incidents = [incident | {"partition": part["number"]} for part in parts for incident in part["incidents"]]
    state = status.get("state", "")
    return {
        "name": status["backend"],
        "kind": status.get("kind", ""),
        "unit": "lines" if status.get("kind") == "logs" else "samples",
        "url": status.get("url", ""),
        "state": state or "no answer",
        "tone": _TONES.get(state, "wait"),
        "reason": status.get("state_reason") or status.get("reason") or "",
        "known": bool(ledger),
        "taken": _total(ledger.get("in")),
        "terms": _terms(ledger),
        # Partition by partition: what is too much in one does not make good what is too little in another.
        "open": sum(abs(part["difference"]) for part in parts) or abs(_total(ledger.get("difference"))),
        "missing": max(_total(ledger.get("missing_items")), _total(ledger.get("missing_records"))),
        "missing_items": _total(ledger.get("missing_items")),
        "missing_records": _total(ledger.get("missing_records")),
        "gaps": _total(ledger.get("gaps")),
        "repeats": _total(ledger.get("repeats")),
        "since": ledger.get("since") or None,
        "lag": status.get("lag_records"),
        "oldest_s": status.get("oldest_pending_s") or 0.0,
        "used": status.get("retention_used") or 0.0,
        "backfill": (status.get("backfill") or {}).get("records_left") or 0,
        "backfill_eta_s": (status.get("backfill") or {}).get("eta_s"),
        "incidents": sorted(incidents, key=lambda one: -one["time_s"])[:_SHOWN],
        "partitions": parts,
    }


def _part(number: int, status: Mapping[str, Any]) -> dict[str, Any]:
    ledger = status.get("ledger") or {}
    return {
        "number": number,
        "state": status.get("state", ""),
        "tone": _TONES.get(status.get("state", ""), "wait"),
        "reason": status.get("reason", ""),
        "lag": status.get("lag_records") or 0,
        "taken": _total(ledger.get("in")),
        "terms": _terms(ledger),
        "difference": _total(ledger.get("difference")),
        "missing_items": _total(ledger.get("missing_items")),
        "missing_records": _total(ledger.get("missing_records")),
        "gaps": _total(ledger.get("gaps")),
        "repeats": _total(ledger.get("repeats")),
        "incidents": [_incident(one) for one in ledger.get("incidents") or ()],
    }


def _incident(one: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(one.get("kind", ""))
    start, end = one.get("from", 0), one.get("to", 0)
    return {
        "time_s": one.get("time_ms", 0) / 1000,
        "kind": kind,
        "words": _INCIDENTS.get(kind, kind),
        "start": start,
        "end": end,
        "records": abs(end - start),
    }


def _terms(ledger: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each term of the sum, with its parts by rule or reason, the largest first."""
    found = []
    for key, name in TERMS:
        value = ledger.get(key)
        parts = sorted(value.items(), key=lambda item: -item[1]) if isinstance(value, dict) else []
        found.append({"key": key, "name": name, "value": _total(value), "parts": parts})
    return found


def _numbered(parts: Mapping[str, Any]) -> list[tuple[int, Any]]:
    return sorted((int(number), one) for number, one in parts.items() if str(number).isdigit())


def _total(value: Any) -> int:
    """A number, or the sum of a number per reason."""
    return int(sum(value.values()) if isinstance(value, dict) else value or 0)
