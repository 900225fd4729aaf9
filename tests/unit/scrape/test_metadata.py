"""Metadata on its way to Kafka: said at once, again now and then, once a process, within bounds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from pipeline.clock import SystemClock
from pipeline.config.scrape import ScrapeConfig
from pipeline.discovery.target_group import TargetGroup
from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.manager import ScrapeManager
from pipeline.scrape.metadata import MetadataForwarder
from pipeline.scrape.negotiation import OPENMETRICS, PROTOBUF, TEXT, Fetched
from pipeline.telemetry.metrics import Telemetry
from pipeline.textparse.parsed import Metadata
from tests.support.fakes import FakeClock, ListAppender
from tests.support.scraping import finish, maker
from topics import compression, write_request
from topics.pb.metric_family_pb2 import Counter, Metric, MetricFamily
from topics.record import METADATA
from topics.wire import varint

TS = 1_700_000_000_000
REQUESTS = Metadata("counter", "Requests served.", "")


@dataclass
class Target:
    """What a target said last."""

    metadata: dict[str, Metadata] = field(default_factory=dict)

    @property
    def metadata_key(self) -> bytes:
        return repr(self.metadata).encode()


class Rig:
    def __init__(self, partitions: int = 3, **options: int) -> None:
        self.clock = FakeClock()
        self.telemetry = Telemetry()
        self.forwarder = MetadataForwarder(partitions, telemetry=self.telemetry, clock=self.clock, **options)

    def said(self, target: Target, partition: int = 0) -> list[tuple[str, int, str, str]]:
        """What goes to one partition after a scrape of this target."""
        return [
            write_request.decode_metadata(raw)
            for fragment in self.forwarder.fragments(target, TS)
            if fragment.partition == partition
            for raw in write_request.split_metadata(compression.decompress(fragment.payload))
        ]


def test_type_help_and_unit_are_said_to_every_partition_without_samples():
    rig = Rig()
    target = Target({"requests": REQUESTS, "size_bytes": Metadata("histogram", "Größe.", "bytes")})
    fragments = rig.forwarder.fragments(target, TS)
    assert [fragment.partition for fragment in fragments] == [0, 1, 2]
    for fragment in fragments:
        assert (fragment.series, fragment.samples, fragment.extras) == (0, 0, METADATA)
        assert (fragment.min_ts_ms, fragment.max_ts_ms) == (TS, TS)
    assert Rig().said(target, 2) == [("requests", 1, "Requests served.", ""), ("size_bytes", 3, "Größe.", "bytes")]


@pytest.mark.parametrize(
    ("word", "number"),
    [("counter", 1), ("gauge", 2), ("histogram", 3), ("gaugehistogram", 4), ("summary", 5), ("info", 6),
     ("stateset", 7), ("unknown", 0), ("untyped", 0)],
)  # fmt: skip
def test_every_type_has_its_number(word, number):
    assert Rig().said(Target({"m": Metadata(word)})) == [("m", number, "", "")]


def test_what_is_said_already_is_not_said_again_until_its_time_has_come():
    rig = Rig()
    target = Target({"requests": REQUESTS})
    assert rig.said(target)
    for _ in range(3):
        rig.clock.advance(15)
        assert rig.said(target) == []
    rig.clock.advance(15)
    assert rig.said(target) == [("requests", 1, "Requests served.", "")]


def test_targets_that_say_the_same_are_one():
    rig = Rig()
    assert rig.said(Target({"requests": REQUESTS}))
    assert rig.said(Target({"requests": REQUESTS})) == []
    assert rig.said(Target({"requests": REQUESTS, "up": Metadata("gauge")})) == [("up", 2, "", "")]


def test_a_change_is_said_at_once():
    rig = Rig()
    rig.said(Target({"requests": REQUESTS}))
    rig.clock.advance(1)
    changed = Target({"requests": Metadata("counter", "All requests.")})
    assert rig.said(changed) == [("requests", 1, "All requests.", "")]


def test_very_many_partitions_are_told_less_often():
    rig = Rig(partitions=100)
    target = Target({"requests": REQUESTS})
    assert rig.said(target)
    rig.clock.advance(199)
    assert rig.said(target) == []
    rig.clock.advance(1)
    assert rig.said(target)


def test_what_no_target_says_any_more_is_forgotten():
    rig = Rig()
    rig.said(Target({"old": Metadata("gauge", "x" * 1000)}))
    for _ in range(4):
        rig.clock.advance(60)
        rig.said(Target({"new": REQUESTS}))
    assert len(rig.forwarder._entries) == len(rig.forwarder._groups) == 1
    assert rig.forwarder._bytes < 1000


def test_beyond_the_bound_new_families_are_left_out_and_counted():
    rig = Rig(most_bytes=1000)
    target = Target({f"m{number}": Metadata("gauge", "x" * 100) for number in range(10)})
    assert len(rig.said(target)) == 3
    assert rig.telemetry.registry.get_sample_value("headrace_scrape_metadata_left_out_total") == 7
    assert rig.said(Target({"huge": Metadata("gauge", "x" * 100_000)})) == []


def test_much_metadata_makes_several_fragments():
    rig = Rig(partitions=1)
    target = Target({f"m{number}": Metadata("gauge", "x" * 10_000) for number in range(100)})
    fragments = rig.forwarder.fragments(target, TS)
    assert len(fragments) == 4
    assert all(compression.decoded_size(fragment.payload) <= 256 * 1024 + 1000 for fragment in fragments)


def test_what_is_no_text_is_said_as_far_as_it_is():
    assert Rig().said(Target({"m": Metadata("gauge", "a\udcffb")})) == [("m", 2, "a?b", "")]


def scraped(body: bytes, protocol: str = TEXT, cache: SeriesCache | None = None) -> SeriesCache:
    cache = cache or SeriesCache(maker())
    fetched = Fetched(body, protocol)
    if cache.match(fetched, TS) is None:
        finish(cache.read(fetched, TS))
    return cache


def delimited(family: MetricFamily) -> bytes:
    raw = family.SerializeToString()
    return varint(len(raw)) + raw


def test_targets_are_known_by_what_their_comments_say():
    one = b"# HELP m Says.\n# TYPE m counter\nm 1\n"
    key = scraped(one).metadata_key
    assert scraped(one.replace(b"m 1", b"m 2\nother 3")).metadata_key == key
    assert scraped(one.replace(b"Says", b"Said")).metadata_key != key
    assert scraped(one + b"# EOF\n", OPENMETRICS).metadata_key != key
    assert scraped(b"m 1\n").metadata_key != key


def test_a_change_of_the_comments_is_seen_and_a_change_of_values_is_not():
    cache = scraped(b"# HELP m Says.\nm 1\n")
    key = cache.metadata_key
    assert scraped(b"# HELP m Says.\nm 2\n", cache=cache).metadata_key == key
    assert scraped(b"# HELP m Else.\nm 2\n", cache=cache).metadata_key != key


@pytest.mark.parametrize(
    ("body", "protocol", "expected"),
    [
        (b"# HELP m Says \\\\ this.\n# TYPE m gauge\nm 1\n", TEXT, ("m", 2, "Says \\ this.", "")),
        (
            b"# TYPE m_seconds counter\n# UNIT m_seconds seconds\n# HELP m_seconds It.\nm_seconds_total 1\n# EOF\n",
            OPENMETRICS,
            ("m_seconds", 1, "It.", "seconds"),
        ),
        (
            delimited(
                MetricFamily(
                    name=b"m_bytes", type=0, help=b"It.", unit=b"bytes",
                    metric=[Metric(counter=Counter(value=1)).SerializeToString()],
                )
            ),
            PROTOBUF,
            ("m_bytes", 1, "It.", "bytes"),
        ),
    ],
    ids=["text", "openmetrics", "protobuf"],
)  # fmt: skip
def test_every_format_says_what_it_knows(body, protocol, expected):
    rig = Rig(partitions=1)
    cache = scraped(body, protocol)
    (fragment,) = rig.forwarder.fragments(cache, TS)
    (raw,) = write_request.split_metadata(compression.decompress(fragment.payload))
    assert write_request.decode_metadata(raw) == expected
    assert rig.forwarder.fragments(scraped(body, protocol), TS) == ()


async def test_a_scrape_says_what_it_is_before_its_samples():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"# HELP m Says.\nm 1\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    appender = ListAppender()
    forwarder = MetadataForwarder(appender.partitions, telemetry=Telemetry(), clock=SystemClock())
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    config = ScrapeConfig.model_validate({"job_name": "a", "scrape_interval": 0.02, "scrape_timeout": 0.02})
    async with (
        server,
        ScrapeManager(appender, telemetry=Telemetry(), clock=SystemClock(), metadata=forwarder) as scrapes,
    ):
        await scrapes.apply([config], {})
        scrapes.sync("a", [TargetGroup("s", ({"__address__": address},), {})])
        async with asyncio.timeout(60):
            while not any(fragment.extras & METADATA for fragment in appender.fragments):
                await asyncio.sleep(0.005)
            seen = len(appender.fragments)
            while len(appender.fragments) < seen + 20:
                await asyncio.sleep(0.005)
    described = [at for at, fragment in enumerate(appender.fragments) if fragment.extras & METADATA]
    assert len(described) == appender.partitions
    assert described == list(range(described[0], described[0] + appender.partitions))
    following = appender.fragments[described[-1] + 1]
    assert (following.samples, following.extras) == (1, 0)
