"""`headrace sink` as a process: killed, stopped, told to fail from the start."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from typing import Any

from pipeline.devsink import journal
from tests.support.process import Headrace, wait_for
from topics import compression, labels, push_request, write_request

T0 = 1_763_725_000_000


def post(sink: Headrace, path: str, body: bytes) -> tuple[int, str]:
    """Status and words; 0 when the connection was closed without an answer."""
    connection = http.client.HTTPConnection(sink.web.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def write(sink: Headrace, *stamps: int) -> int:
    encoded = write_request.encode_labels(labels.make({"__name__": "m"}))
    body = b"".join(write_request.series(encoded, write_request.sample_field(1.0, T0 + ts)) for ts in stamps)
    return post(sink, "/api/v1/write", compression.compress(body))[0]


def push(sink: Headrace, *numbers: int) -> int:
    entries = b"".join(push_request.encode_entry(10**18 + n, json.dumps({"seq": n}).encode()) for n in numbers)
    return post(sink, "/loki/api/v1/push", compression.compress(push_request.stream(b'{app="x"}', entries)))[0]


def report(sink: Headrace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sink.get("/api/v1/report")[1])
    return found


def test_what_was_accepted_survives_kill_9(tmp_path: Path):
    flags = ("sink", "--sequence-key=seq", "--journal", str(tmp_path / "journal"))
    with Headrace(*flags) as sink:
        assert write(sink, 0, 1000) == 204
        assert push(sink, 1, 2) == 204
        sink.kill9()
        sink.start()
        assert report(sink)["metrics"]["samples"] == 2
        assert write(sink, 1000, 2000) == 204
        assert push(sink, 4) == 204
        metrics, logs = report(sink)["metrics"], report(sink)["logs"]
    assert (metrics["samples"], metrics["duplicates"], metrics["reorders"]) == (4, 1, 0)
    assert (logs["lines"], logs["missing"]) == (3, 1)
    stamps = [entry.ts - T0 for entry in journal.read(tmp_path / "journal") if entry.kind == journal.SAMPLE]
    assert stamps == [0, 1000, 1000, 2000]


def test_sigterm_ends_it_with_0_while_a_request_hangs():
    with Headrace("sink", "--fail.hang") as sink:
        sink.wait_log("listening")
        statuses: list[int] = []
        client = threading.Thread(target=lambda: statuses.append(write(sink, 0)))
        client.start()
        wait_for("the request", lambda: sink.status().get("hanging") == 1)
        assert sink.stop() == 0
        client.join(timeout=30)
        assert statuses == [0]


def test_it_fails_from_the_start_for_as_long_as_told():
    with Headrace("sink", "--fail.status=503", "--fail.for=1s") as sink:
        assert write(sink, 0) == 503
        wait_for("the end of its failing", lambda: write(sink, 0) == 204)
        assert report(sink)["metrics"]["samples"] == 1


def test_its_flags_reach_the_ledger():
    with Headrace("sink", "--strict", "--expect-interval=1s", "--max-series=1", "--offenders=1") as sink:
        assert write(sink, 0, 5000) == 204
        assert write(sink, 1000) == 400
        found = report(sink)
        assert found["metrics"]["gaps"] == 1
        assert len(found["bad_series"]) == 1
        assert sink.get("/-/healthy")[0] == 200
        assert "strict: True" in sink.get("/config")[1]
        assert "headrace_sink_gaps 1.0" in sink.get("/metrics")[1]


def test_a_wrong_flag_is_an_error_with_words():
    with Headrace("sink", "--expect-interval=soon") as sink:
        assert sink.wait() == 1
        assert "'soon' is not a duration" in sink.log_text
