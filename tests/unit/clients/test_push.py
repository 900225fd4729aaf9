"""The two clients against a real server: what they send, and what they make of everything that can go wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from unittest.mock import ANY

import pytest

from pipeline.clients.loki import loki_client
from pipeline.clients.outcome import Delivered, Load, Refused, Rejected, Retry
from pipeline.clients.remote_write import remote_write_client
from pipeline.clock import SystemClock
from pipeline.config.logs import LokiClientConfig
from pipeline.config.remote_write import RemoteWriteConfig
from pipeline.http_client.spread import SpreadingResolver
from tests.support.receiver import Answer, Receiver, bodies
from topics import compression, push_request, write_request
from topics.pb.write_request_v2_pb2 import Request


@pytest.fixture
async def receiver(tmp_path):
    async with Receiver(tmp_path / "journal") as server:
        yield server


def remote_write(url: str, **raw):
    return remote_write_client(RemoteWriteConfig.model_validate({"name": "b", "url": url, **raw}), SystemClock())


async def outcome_of(receiver: Receiver, answer: Answer):
    receiver.script = lambda request, body: answer
    async with remote_write(receiver.url, remote_timeout=0.5) as client:
        return await client.send(b"body")


async def test_remote_write_sends_the_bytes_given_with_the_headers_of_the_specification(receiver):
    raw = {"headers": {"X-Scope-OrgID": "t1"}, "basic_auth": {"username": "u", "password": "p"}}
    async with remote_write(receiver.url, **raw) as client:
        assert await client.send(b"\x00any bytes") == Delivered()
    headers = receiver.seen[0].headers
    assert headers["Content-Encoding"] == "snappy"
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    assert headers["X-Scope-OrgID"] == "t1"
    assert headers["User-Agent"].startswith("headrace/")
    assert headers["Authorization"].startswith("Basic ")
    assert list(bodies(receiver.journal)) == [b"\x00any bytes"]


async def test_loki_sends_the_tenant(receiver):
    settings = LokiClientConfig.model_validate({"url": receiver.url, "tenant_id": "team-a"})
    async with loki_client(settings, SystemClock()) as client:
        assert await client.send(b"x") == Delivered()
    headers = receiver.seen[0].headers
    assert headers["X-Scope-OrgID"] == "team-a"
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["Content-Encoding"] == "snappy"
    assert "X-Prometheus-Remote-Write-Version" not in headers


async def test_503_with_retry_after_says_how_long(receiver):
    outcome = await outcome_of(receiver, Answer(503, "overloaded", {"Retry-After": "17"}))
    assert outcome == Retry("503 Service Unavailable: overloaded", 17.0, Load.BUSY)


async def test_400_keeps_the_backends_words_up_to_two_kibibytes(receiver):
    outcome = await outcome_of(receiver, Answer(400, "out of order sample " + "x" * 5000))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.status) == ("out_of_order", 400)
    assert 1000 < len(outcome.detail) <= 2048


async def test_401_is_refused(receiver):
    assert await outcome_of(receiver, Answer(401, "who are you")) == Refused(
        "unauthorized", "401 Unauthorized: who are you"
    )


async def test_a_timeout_and_a_cut_connection_are_tried_again(receiver):
    slow, cut = await outcome_of(receiver, Answer(hang_s=30)), await outcome_of(receiver, Answer(cut=True))
    assert isinstance(slow, Retry)
    assert isinstance(cut, Retry)
    assert (slow.load, cut.load) == (Load.HEAVY, Load.UNKNOWN)


async def test_a_refused_connection_is_tried_again():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    async with remote_write(f"http://127.0.0.1:{port}/") as client:
        assert isinstance(await client.send(b""), Retry)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://nobody.invalid/w", "unknown_host"),
        ("gopher://host/w", "unknown_scheme"),
    ],
)
async def test_unknown_hosts_and_schemes_are_refused(url, reason):
    async with remote_write(url) as client:
        outcome = await client.send(b"")
    assert isinstance(outcome, Refused)
    assert outcome.reason == reason


async def test_a_plain_server_behind_https_is_refused(receiver):
    async with remote_write(receiver.url.replace("http:", "https:")) as client:
        outcome = await client.send(b"")
    assert isinstance(outcome, Refused)
    assert outcome.reason == "bad_tls"


async def test_a_missing_password_file_is_refused_and_heals_by_itself(receiver, tmp_path):
    file = tmp_path / "password"
    raw = {"basic_auth": {"username": "u", "password_file": str(file)}}
    async with remote_write(receiver.url, **raw) as client:
        outcome = await client.send(b"")
        assert isinstance(outcome, Refused)
        assert outcome.reason == "credentials_unreadable"
        file.write_text("pw")
        assert await client.send(b"") == Delivered()


async def test_a_2xx_whose_body_is_cut_off_is_delivered():
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    async with server, remote_write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as client:
        assert await client.send(b"x") == Delivered()


async def test_cancelling_leaves_the_client_usable(receiver):
    hanging = Answer(hang_s=30)
    receiver.script = lambda request, body: hanging if body == b"hang" else None
    async with remote_write(receiver.url) as client:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(client.send(b"hang"))
            await receiver.arrived.wait()
            task.cancel()
        assert await client.send(b"next") == Delivered()


async def test_a_loki_that_threw_the_push_away_and_answers_260_has_not_delivered_it(receiver):
    receiver.script = lambda request, body: Answer(260, "ingestion blocked for user 'fake' until '2030'")
    async with loki_client(LokiClientConfig.model_validate({"url": receiver.url}), SystemClock()) as client:
        outcome = await client.send(b"x")
    assert isinstance(outcome, Refused)
    assert outcome.reason == "blocked_ingestion"


async def test_the_profile_of_the_configuration_decides_what_words_mean(receiver):
    receiver.script = lambda request, body: Answer(400, "out of order sample")
    async with remote_write(receiver.url, profile="victoriametrics") as client:
        assert (await client.send(b"x")).reason == "bad_request"
    async with remote_write(receiver.url, profile="prometheus") as client:
        assert (await client.send(b"x")).reason == "out_of_order"


async def test_json_is_sent_as_json_and_what_cannot_be_is_rejected_unsent(receiver):
    settings = LokiClientConfig.model_validate({"url": receiver.url, "format": "json", "tenant_id": "t"})
    entry = push_request.encode_entry(7, b"line")
    body = compression.compress(push_request.stream(b'{a="b"}', entry))
    async with loki_client(settings, SystemClock()) as client:
        assert await client.send(body) == Delivered()
        assert await client.send(b"\xff\xff") == Rejected("unreadable", ANY, 0)
    (request,) = receiver.seen
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Content-Encoding"] == "gzip"
    assert request.headers["X-Scope-OrgID"] == "t"
    (sent,) = bodies(receiver.journal)  # the server has unpacked it
    assert json.loads(sent) == {"streams": [{"stream": {"a": "b"}, "values": [["7", "line"]]}]}


SAMPLE = compression.compress(
    write_request.series(write_request.encode_labels((("__name__", "m"),)), write_request.sample_field(1.5, 7))
)
WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"


def second(url: str, **raw):
    return remote_write(url, protobuf_message="io.prometheus.write.v2.Request", **raw)


async def test_2_0_is_sent_with_the_headers_of_its_specification(receiver):
    receiver.script = lambda request, body: Answer(204, headers={WRITTEN: "1"})
    async with second(receiver.url, headers={"X-Scope-OrgID": "t1"}) as client:
        assert await client.send(SAMPLE) == Delivered()
    (request,) = receiver.seen
    assert request.headers["Content-Type"] == "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    assert request.headers["Content-Encoding"] == "snappy"
    assert request.headers["X-Prometheus-Remote-Write-Version"] == "2.0.0"
    assert request.headers["X-Scope-OrgID"] == "t1"
    found = Request.FromString(compression.decompress(next(bodies(receiver.journal))))
    assert list(found.symbols) == ["", "__name__", "m"]
    assert found.timeseries[0].samples[0].value == 1.5


@pytest.mark.parametrize(
    "answer", [Answer(415, "what is this?"), Answer(204)], ids=["415", "no word of what is written"]
)
async def test_a_receiver_without_2_0_gets_the_same_samples_as_1_0_and_1_0_from_then_on(receiver, answer):
    receiver.script = lambda request, body: (
        answer if request.headers["X-Prometheus-Remote-Write-Version"] == "2.0.0" else Answer(204)
    )
    async with second(receiver.url) as client:
        assert await client.send(SAMPLE) == Delivered()
        assert await client.send(SAMPLE) == Delivered()
    assert [request.headers["X-Prometheus-Remote-Write-Version"] for request in receiver.seen] == [
        "2.0.0",
        "0.1.0",
        "0.1.0",
    ]
    assert "proto=" not in receiver.seen[1].headers["Content-Type"]


async def test_the_answer_to_1_0_is_what_counts_after_the_fall_back(receiver):
    receiver.script = lambda request, body: (
        Answer(204) if "proto=" in request.headers["Content-Type"] else Answer(503, "busy")
    )
    async with second(receiver.url) as client:
        assert isinstance(await client.send(SAMPLE), Retry)


async def test_a_5xx_is_no_reason_to_fall_back(receiver):
    receiver.script = lambda request, body: Answer(503, "busy")
    async with second(receiver.url) as client:
        for _ in range(2):
            assert isinstance(await client.send(SAMPLE), Retry)
    assert all("proto=" in request.headers["Content-Type"] for request in receiver.seen)


async def test_less_written_than_sent_is_counted_and_said_once(receiver, caplog):
    receiver.script = lambda request, body: Answer(204, headers={WRITTEN: "0"})
    async with second(receiver.url) as client:
        for _ in range(3):
            assert await client.send(SAMPLE) == Delivered(unwritten=1)
    assert [record.getMessage() for record in caplog.records if "0 of 1 samples" in record.getMessage()] != []
    assert len(caplog.records) == 1


async def test_a_count_that_cannot_be_read_counts_as_none(receiver):
    receiver.script = lambda request, body: Answer(204, headers={WRITTEN: "1, 1"})
    async with second(receiver.url) as client:
        assert await client.send(SAMPLE) == Delivered()
    assert [request.headers["X-Prometheus-Remote-Write-Version"] for request in receiver.seen] == ["2.0.0", "0.1.0"]


async def test_a_receiver_that_answers_400_to_2_0_but_takes_1_0_gets_1_0_from_then_on(receiver):
    receiver.script = lambda request, body: (
        Answer(400, "proto: wrong wireType") if "proto=" in request.headers["Content-Type"] else Answer(204)
    )
    async with second(receiver.url) as client:
        for _ in range(2):
            assert await client.send(SAMPLE) == Delivered()
    versions = [request.headers["X-Prometheus-Remote-Write-Version"] for request in receiver.seen]
    assert versions == ["2.0.0", "0.1.0", "0.1.0"]


async def test_bad_samples_alone_are_no_reason_to_fall_back(receiver):
    receiver.script = lambda request, body: Answer(400, "out of order sample")
    async with second(receiver.url) as client:
        for _ in range(2):
            outcome = await client.send(SAMPLE)
            assert isinstance(outcome, Rejected)
            assert outcome.reason == "out_of_order"
    assert [request.headers["X-Prometheus-Remote-Write-Version"] for request in receiver.seen[2:]] == ["2.0.0", "0.1.0"]


async def test_a_400_of_a_receiver_that_is_known_to_take_2_0_is_what_it_says(receiver):
    answers = [Answer(204, headers={WRITTEN: "1"}), Answer(400, "out of order sample")]
    receiver.script = lambda request, body: answers[min(len(receiver.seen), 1)]
    async with second(receiver.url) as client:
        assert await client.send(SAMPLE) == Delivered()
        assert isinstance(await client.send(SAMPLE), Rejected)
    assert len(receiver.seen) == 2


@pytest.mark.parametrize("message", ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"])
async def test_a_repeat_says_which_one_it_is(receiver, message):
    receiver.script = lambda request, body: Answer(204, headers={WRITTEN: "1"})
    async with remote_write(receiver.url, protobuf_message=message) as client:
        for attempt in range(3):
            await client.send(SAMPLE, attempt=attempt)
    assert [request.headers.get("Retry-Attempt") for request in receiver.seen] == [None, "1", "2"]


async def test_loki_is_not_told_of_repeats(receiver):
    async with loki_client(LokiClientConfig.model_validate({"url": receiver.url}), SystemClock()) as client:
        await client.send(b"x", attempt=3)
    assert "Retry-Attempt" not in receiver.seen[0].headers


async def test_a_rejection_whose_words_are_cut_off_is_a_rejection():
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\nout of order sam")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    async with server, remote_write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as client:
        outcome = await client.send(b"x")
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.detail) == (400, "out of order sam")


async def test_words_that_come_in_pieces_are_read_together():
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 19\r\n\r\nout of ")
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(b"order sample")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    async with server, remote_write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as client:
        assert await client.send(b"x") == Rejected("out_of_order", "out of order sample", 400)


async def test_what_cannot_be_translated_is_rejected_unsent(receiver):
    async with second(receiver.url) as client:
        assert await client.send(b"\xff\xff") == Rejected("unreadable", ANY, 0)
    assert receiver.seen == []


@pytest.mark.parametrize("message", ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"])
async def test_failed_requests_are_shown_where_that_is_asked_for(receiver, message, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.script = lambda request, body: Answer(503, "busy")
    for asked in (False, True):
        async with remote_write(receiver.url, protobuf_message=message, failed_request_logging=asked) as client:
            await client.send(SAMPLE)
        assert any('name: "__name__"' in record.getMessage() for record in caplog.records) == asked


async def test_connections_are_spread_where_that_is_asked_for(receiver, monkeypatch):
    asked: list[str] = []
    resolve = SpreadingResolver.resolve

    async def noted(self, host, *more, **named):
        asked.append(host)
        return await resolve(self, host, *more, **named)

    monkeypatch.setattr(SpreadingResolver, "resolve", noted)
    url = receiver.url.replace("127.0.0.1", "localhost")
    for spread, expected in ((False, []), (True, ["localhost"])):
        async with remote_write(url, round_robin_dns=spread) as client:
            assert await client.send(b"x") == Delivered()
        assert asked == expected
