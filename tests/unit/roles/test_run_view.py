"""The run page made of what the children say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pipeline.roles.run_view import shown
from pipeline.web.pages import count, page, size, span


def child(role: str, status: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    """A child as `RunView.status` gives it."""
    name = f"agent:{changed['backend']}" if role == "agent" else role
    return {
        "name": name,
        "role": role,
        "backend": "",
        "kind": "",
        "url": "",
        "log_tail": [],
        "state": "running",
        "pid": 4242,
        "address": "127.0.0.1:4711",
        "restarts": 0,
        "since": 1_700_000_000.0,
        "last_exit": "",
        "ready": True,
        "reason": "",
        "status": status or {},
    } | changed


LEDGER = {
    "in": 1000,
    "delivered": 900,
    "ruled_out": {"0": 50, "1": 10},
    "rejected": {"out_of_order": 5},
    "dead_lettered": {"http_400": 5},
    "pending": 30,
}
PRODUCER = {
    "topic": "headrace.metrics",
    "acked_records": 5,
    "acked_samples": 123456,
    "dropped_samples": {"spool_full": 7},
    "spool_bytes": 1536,
    "spool_limit_bytes": 268435456,
    "kafka": "connected",
}
TARGETS = [
    {"job": "envoy", "url": "http://127.0.0.1:1/metrics", "health": "up", "last_error": "", "samples": 700},
    {
        "job": "envoy",
        "url": "http://127.0.0.1:2/<b>",
        "health": "down",
        "last_error": "connection refused",
        "samples": 0,
    },
]
FILES = [{"path": "/var/log/pods/a/0.log", "lag_bytes": 2048, "last_error": "permission denied"}]


def html(*children: dict[str, Any], ready: bool = True, reason: str = "", **kafka: Any) -> str:
    roles = {member["name"]: member for member in children}
    given = {
        "brokers": ["127.0.0.1:9092"],
        "prefix": "headrace.",
        "embedded": True,
        "pid": 7,
        "restarts": 0,
        "reason": "",
    }
    text = page("run.html.j2", ready=ready, reason=reason, kafka=given | kafka, **shown(roles)).text
    assert text is not None
    return text


def row(text: str, identity: str) -> list[str]:
    """The cells of the row with this id, without markup."""
    inside = text.split(f'id="{identity}"')[1].split("</tr>", maxsplit=1)[0]
    return [re.sub(r"<[^>]*>", "", cell).strip() for cell in inside.split("<td")[1:]]


def test_nothing_at_all_is_a_page_too() -> None:
    assert "nothing is configured" in html(ready=False, reason="starting")


def test_a_backend_shows_state_lag_reason_and_ledger() -> None:
    status = {"state": "retrying", "reason": "connection refused", "lag_records": 1234, "ledger": LEDGER}
    text = html(child("agent", status, backend="vm", kind="metrics", url="http://vm:8428/api/v1/write"))
    cells = " ".join(row(text, "backend-vm"))
    for part in ("metrics", "http://vm:8428/api/v1/write", "retrying", "1\u2009234", "connection refused"):
        assert part in cells
    numbers = re.findall(r'class="number">([^<]*)<', text.split("<h2>Ledger</h2>")[1].split("</tbody>")[0])
    assert [text for text in numbers if text.strip("\u2009").replace("\u2009", "").isdigit()] == [
        "1\u2009000", "900", "60", "5", "5", "30", "0",
    ]  # fmt: skip


def test_a_ledger_that_does_not_close_stands_out() -> None:
    text = html(child("agent", {"state": "idle", "ledger": LEDGER | {"delivered": 880}}, backend="vm"))
    assert '<span class="badge bad">20</span>' in text


def test_an_agent_that_does_not_answer_shows_what_the_run_knows() -> None:
    text = html(child("agent", backend="vm", state="restarting", ready=False, reason="exit code 1; starts again"))
    assert "exit code 1; starts again" in " ".join(row(text, "backend-vm"))


def test_targets_that_are_down_are_listed_and_escaped() -> None:
    text = html(child("scraper", {"targets": TARGETS, "producer": PRODUCER}))
    assert "1 of 2 up" in text
    assert "connection refused" in text
    assert "http://127.0.0.1:2/&lt;b&gt;" in text
    assert "http://127.0.0.1:1/metrics" not in text
    assert "123\u2009456" in text
    assert "1.5 KiB of 256.0 MiB" in text


def test_a_target_list_has_an_end() -> None:
    text = html(child("scraper", {"targets": [TARGETS[1]] * 80}))
    assert text.count("connection refused") == 50
    assert "and 30 more" in text


def test_log_files_show_what_is_unread() -> None:
    text = html(child("tailer", {"files": FILES, "producer": PRODUCER | {"kafka": "no broker answers"}}))
    assert "2.0 KiB unread" in text
    assert "permission denied" in text
    assert "no broker answers" in text


def test_the_end_of_a_child_comes_with_its_last_words() -> None:
    text = html(child("tailer", last_exit="ended by SIGKILL", log_tail=["one", "<two>"], restarts=3))
    assert "last end: ended by SIGKILL" in text
    assert "one\n&lt;two&gt;" in text


@pytest.mark.parametrize(
    ("status", "role"),
    [
        ({"targets": [{}]}, "scraper"),
        ({"files": [{}], "producer": {}}, "tailer"),
        ({"ledger": {}, "state": None}, "agent"),
    ],
)
def test_a_child_that_says_less_does_not_break_the_page(status: dict[str, Any], role: str) -> None:
    assert "Processes" in html(child(role, status, backend="b" if role == "agent" else ""))


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (999, "999"), (1234567, "1\u2009234\u2009567"), (1.6, "2")])
def test_counts_are_grouped(value: float, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 2**40, "3.0 TiB")])
def test_sizes_are_binary(value: float, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.4, "0s"), (59, "59s"), (61, "1m 1s"), (3600, "1h"), (90061, "1d 1h"), (-5, "0s")]
)
def test_spans_have_two_units(value: float, text: str) -> None:
    assert span(value) == text
