"""The ledger's page, made of what agents say: the equation, what is wrong in red, partitions on unfolding."""

from __future__ import annotations

import re
from typing import Any

from pipeline.web import ledger
from pipeline.web.pages import page

LINKS = (("/config", "config"),)


def account(taken: int = 1_234_567, delivered: int = 1_233_000, **more: Any) -> dict[str, Any]:
    return {
        "in": taken,
        "delivered": delivered,
        "ruled_out": {"0": 1000, "empty": 400},
        "rejected": {"duplicate": 60},
        "dead_lettered": {"too_old": 7},
        "pending": 100,
        "difference": 0,
        "missing_records": 0,
        "missing_items": 0,
        "gaps": 0,
        "repeats": 0,
        "incidents": [],
        "since": 1_800_000_000.0,
    } | more


def status(name: str = "mimir", *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As an agent's `/api/v1/status`; each of `parts` is the ledger of one partition."""
    parts = parts or (account(),)
    return {
        "backend": name,
        "kind": "metrics",
        "url": "http://mimir/api/v1/push",
        "state": "delivering",
        "state_reason": "",
        "lag_records": 12,
        "oldest_pending_s": 0.4,
        "retention_used": 0.01,
        "backfill": {"records_left": 0, "eta_s": 0.0},
        "ledger": parts[0],
        "partitions": {
            str(number): {"lag_records": 6, "state": "delivering", "reason": "", "ledger": part}
            for number, part in enumerate(parts)
        },
    } | more


def html(*statuses: dict[str, Any]) -> str:
    text = page("ledger.html.j2", heading="headrace ledger", links=LINKS, **ledger.view(statuses)).text
    assert text is not None
    return re.sub(r"\s+", " ", text)


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]*>", " ", text))


def test_the_equation_stands_there_with_its_numbers_and_what_each_is_made_of() -> None:
    said = words(html(status()))
    wanted = (
        "1 234 567 samples in = 1 233 000 delivered + 1 400 ruled out rule 0: 1 000 "
        "empty: 400 + 60 rejected duplicate: 60 + 7 dead-lettered too_old: 7 + 100 pending"
    )
    assert wanted in said
    assert "1 closes" in said


def test_a_difference_is_red_and_named() -> None:
    page_of = html(status("mimir", account(difference=3)))
    assert "without an outcome" in page_of
    assert '<section class="backend wrong" id="ledger-mimir">' in page_of
    assert "1 does not close" in words(page_of)


def test_differences_of_partitions_do_not_make_each_other_good() -> None:
    found = ledger.view([status("mimir", account(difference=3), account(difference=-3), ledger=account())])
    assert (found["open"], found["closed"], found["backends"][0]["open"]) == (1, 0, 6)


def test_missing_records_are_red_with_time_kind_and_range() -> None:
    incident = {"time_ms": 1_800_000_000_000, "kind": "retention", "from": 1000, "to": 4500}
    lost = account(missing_records=3500, missing_items=70_000, incidents=[incident])
    page_of = html(status("mimir", account(), lost, ledger=lost))
    said = words(page_of)
    assert "70 000 samples missing, in 3 500 records" in said
    assert "2027-01-15 08:00:00 UTC Kafka had deleted it 1 1 000 to 4 500 3 500" in said
    assert "records missing" in said
    assert 'class="backend wrong"' in page_of


def test_a_backend_whose_agent_does_not_answer_is_shown_with_why() -> None:
    said = words(html({"backend": "loki", "kind": "logs", "url": "http://loki", "state_reason": "exit code 1"}))
    assert "loki no ledger yet no answer logs to http://loki exit code 1" in said


def test_what_an_older_agent_does_not_say_is_nothing() -> None:
    old = {key: value for key, value in account().items() if key in ("in", "delivered", "pending", "ruled_out")}
    found = ledger.view([{"backend": "b", "ledger": old, "partitions": {"3": {"ledger": old}}}])
    one = found["backends"][0]
    assert (one["missing"], one["incidents"], one["since"], one["partitions"][0]["number"]) == (0, [], None, 3)
    assert "closes" in html({"backend": "b", "ledger": old, "partitions": {}})


def test_text_of_others_is_escaped_and_no_agent_is_said() -> None:
    assert "<b>x" not in html(status("mimir", state="paused", state_reason="401: <b>x"))
    assert "no agent has anything to say yet" in html()


def test_how_near_the_end_of_retention_is_has_a_colour() -> None:
    for used, tone in ((0.1, "good"), (0.6, "wait"), (0.9, "bad"), (3.0, "bad")):
        assert f'<i class="{tone}" style="width: {min(used * 100, 100)}%">' in html(status(retention_used=used))


def test_a_backfill_says_what_is_left_and_how_long_it_takes() -> None:
    said = words(html(status(backfill={"records_left": 5000, "eta_s": 125.0})))
    assert "backfill 5 000 records left, about 2m 5s" in said
