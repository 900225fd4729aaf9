"""What requests are counted by: Prometheus's names and meanings, those of Loki's clients, and one place for all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agents.content.batch import Limits, Piece, Record
from agents.content.logs import LogsCodec
from agents.content.metrics import MetricsCodec
from agents.content.rewrite import MetricsRewriter, Rules
from agents.instruments import kinds
from agents.instruments.instruments import Instruments
from agents.instruments.loki import MOST_TENANTS, OTHERS, LokiInstruments
from agents.instruments.remote_write import RemoteWriteInstruments
from agents.lanes.lane import Interrupted
from agents.lanes.pace import Pace
from pipeline.clients.outcome import Delivered, Refused, Rejected, Retry
from pipeline.clock import SystemClock
from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule
from pipeline.telemetry import catalogue
from pipeline.telemetry.metrics import Telemetry
from tests.unit.agents.builders import TS, Rig, lines, names, record, series, stream
from topics import compression, write_request
from topics.labels import make
from topics.record import EXEMPLARS, HISTOGRAMS, METADATA, Kind, RecordHeaders

if TYPE_CHECKING:
    from agents.ledger.ledger import Ledger

URL = "http://<secret>@mimir/push"


def instruments(telemetry: Telemetry, ledger: Ledger, *, exemplars: bool = True) -> Instruments:
    pace = Pace(SystemClock(), least=2, most=7)
    return RemoteWriteInstruments("b", URL, telemetry, pace=pace, ledger=ledger, max_items=500, exemplars=exemplars)


def shown(rig: Rig, prefix: str = "prometheus_remote_storage_") -> dict[str, float]:
    """The values on the page by name without the prefix, `{reason}` behind it where there is one; buckets left out."""
    found = {}
    for family in text_string_to_metric_families(rig.telemetry.render().decode()):
        for one in family.samples:
            if one.name.startswith(prefix) and not one.name.endswith("_bucket"):
                reason = one.labels.get("reason")
                found[one.name.removeprefix(prefix) + (f"{{{reason}}}" if reason else "")] = one.value
    return found


def mixed(offset: int, *, samples: int, histograms: int, exemplars: int) -> Record:
    """A record with one series of each kind, told so by its headers."""

    def one(name: str, *fields: bytes) -> bytes:
        return write_request.series(write_request.encode_labels(make({"__name__": name})), b"".join(fields))

    histogram = b"\x22\x02\x18\x01"  # field 4, a Histogram with nothing but a sum's tag
    body = (
        one("s", *(write_request.sample_field(1.0, TS + i) for i in range(samples)))
        + one("h", *([histogram] * histograms))
        + one("e", write_request.sample_field(2.0, TS), *([write_request.exemplar_field((), 1.0, TS)] * exemplars))
    )
    items = samples + histograms + 1
    extras = (EXEMPLARS if exemplars else 0) | (HISTOGRAMS if histograms else 0)
    headers = RecordHeaders(Kind.METRICS, 3, items, TS, TS + 9000, "p", offset, extras=extras).encode()
    return Record("headrace.metrics", 3, offset, b"k", compression.compress(body), dict(headers), TS / 1000 + 20)


def dropping(name: str) -> MetricsRewriter:
    rule = RelabelRule.build(source_labels=("__name__",), regex=name, action="drop")
    return MetricsCodec().rewriter(Rules(Program([rule]), {}))


async def test_a_delivered_record_is_counted_once_under_each_name() -> None:
    rig = Rig(make_instruments=instruments)
    await rig.process(record(series("m", 1, 2, 3), 3))
    found = shown(rig)
    assert {name: value for name, value in found.items() if value} == {
        "samples_total": 3,
        "samples_in_total": 3,
        "bytes_total": len(rig.client.bodies[0]),
        "sent_batch_duration_seconds_count": 1,
        "sent_batch_duration_seconds_sum": found["sent_batch_duration_seconds_sum"],
        "queue_highest_timestamp_seconds": TS // 1000,
        "queue_highest_sent_timestamp_seconds": TS // 1000,
        "highest_timestamp_in_seconds": TS // 1000,
        "shards": 2,
        "shards_min": 2,
        "shards_max": 7,
        "shards_desired": 2,
        "shard_capacity": 500,
        "max_samples_per_send": 500,
    }
    assert shown(rig, "headrace_agent_request_") == {
        "duration_seconds_count": 1,
        "duration_seconds_sum": pytest.approx(found["sent_batch_duration_seconds_sum"]),
        "bytes_total": len(rig.client.bodies[0]),
    }


async def test_what_alerts_divide_by_is_there_from_the_beginning_and_named_without_credentials() -> None:
    page = Rig(make_instruments=instruments).telemetry.render().decode()
    for name in ("samples_total", "samples_failed_total", "samples_retried_total", "histograms_failed_total"):
        assert f'prometheus_remote_storage_{name}{{remote_name="b",url="{URL}"}} 0.0' in page, name


async def test_each_attempt_counts_as_sent_and_each_failed_one_as_retried() -> None:
    rig = Rig([Retry("503", status=503), Refused("unauthorized", ""), Retry("timeout")], make_instruments=instruments)
    await rig.process(record(series("m", 1, 2), 2))
    found = shown(rig)
    assert (found["samples_total"], found["samples_retried_total"], found["samples_failed_total"]) == (8, 6, 0)
    assert found["bytes_total"] == len(rig.client.bodies[0]), "a batch counts once, however often it was tried"
    assert found["sent_batch_duration_seconds_count"] == 4


async def test_what_is_rejected_for_good_has_failed_and_is_not_behind() -> None:
    def script(body: bytes) -> Delivered | Rejected:
        return Rejected("bad_request", "no", 400) if any("bad" in name for name in names(body)) else Delivered()

    rig = Rig(script, make_instruments=instruments)
    await rig.process(record(series("good", 1) + series("bad", 2) + series("good", 3), 3))
    found = shown(rig)
    assert (found["samples_failed_total"], len(rig.letters)) == (1, 1)
    assert found["bytes_total"] == sum(len(body) for body in rig.client.bodies), "what was rejected was sent"
    assert found["queue_highest_sent_timestamp_seconds"] == found["queue_highest_timestamp_seconds"] == TS // 1000


async def test_a_record_that_cannot_be_read_has_failed() -> None:
    rig = Rig(make_instruments=instruments)
    await rig.process(record(b"", 5, value=b"\xff\xff\xff\xff\xff\xff\xff"))
    assert shown(rig)["samples_failed_total"] == 5


async def test_what_a_2xx_did_not_write_has_failed() -> None:
    rig = Rig([Delivered(unwritten=2)], make_instruments=instruments)
    await rig.process(record(series("m", 1, 2, 3), 3))
    assert shown(rig)["samples_failed_total"] == 2


async def test_what_rules_drop_is_dropped_for_its_series_and_nobody_waits_for_it() -> None:
    rig = Rig(rewriter=dropping("m"), make_instruments=instruments)
    await rig.process(record(series("m", 1, 2), 2))
    found = shown(rig)
    assert found["samples_dropped_total{dropped_series}"] == 2
    assert found["samples_total"] == 0
    assert found["queue_highest_sent_timestamp_seconds"] == TS // 1000


async def test_histograms_and_exemplars_are_counted_apart_where_a_record_says_that_it_has_some() -> None:
    rig = Rig([Retry("503")], make_instruments=instruments)
    await rig.process(mixed(0, samples=4, histograms=2, exemplars=3), record(series("m", 1), 1, offset=1))
    found = shown(rig)
    for kind, number in (("samples", 6), ("histograms", 2), ("exemplars", 3)):
        assert found[f"{kind}_in_total"] == number, kind
        assert found[f"{kind}_total"] == 2 * number, kind
        assert found[f"{kind}_retried_total"] == number, kind
        assert found[f"{kind}_pending"] == 0, kind
    assert found["highest_timestamp_in_seconds"] == (TS + 9000) // 1000


async def test_histograms_and_exemplars_that_rules_drop_are_dropped_as_such() -> None:
    rig = Rig(rewriter=dropping("[he]"), make_instruments=instruments)
    await rig.process(mixed(0, samples=4, histograms=2, exemplars=3))
    found = shown(rig)
    dropped = {name: value for name, value in found.items() if "dropped" in name}
    assert dropped == {
        "samples_dropped_total{dropped_series}": 1,
        "histograms_dropped_total{dropped_series}": 2,
        "exemplars_dropped_total{dropped_series}": 3,
    }
    assert (found["samples_total"], found["histograms_total"]) == (4, 0)


async def test_what_the_backend_is_not_to_have_is_not_dropped_as_prometheus_counts() -> None:
    rig = Rig(
        codec=MetricsCodec(HISTOGRAMS | EXEMPLARS),
        make_instruments=lambda telemetry, ledger: instruments(telemetry, ledger, exemplars=False),
    )
    await rig.process(mixed(0, samples=4, histograms=2, exemplars=3))
    found = shown(rig)
    assert not [name for name in found if "dropped" in name]
    assert (found["samples_total"], found["histograms_total"], found["exemplars_total"]) == (5, 0, 0)


async def test_of_what_rules_and_settings_take_out_together_only_the_rules_part_is_dropped() -> None:
    rig = Rig(
        codec=MetricsCodec(HISTOGRAMS | EXEMPLARS),
        rewriter=dropping("e"),
        make_instruments=lambda telemetry, ledger: instruments(telemetry, ledger, exemplars=False),
    )
    await rig.process(mixed(0, samples=4, histograms=2, exemplars=3))
    assert {name: value for name, value in shown(rig).items() if "dropped" in name} == {
        "samples_dropped_total{dropped_series}": 1
    }


async def test_what_is_in_hand_is_pending_by_kind_until_it_is_given_back() -> None:
    rig = Rig(lambda body: Retry("503"), make_instruments=instruments)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_quiet(rig.process(mixed(0, samples=4, histograms=2, exemplars=3))))
        while not rig.client.bodies:
            await asyncio.sleep(0)
        found = shown(rig)
        rig.lane.stop()
        await task
    assert (found["samples_pending"], found["histograms_pending"], found["exemplars_pending"]) == (5, 2, 3)
    after = shown(rig)
    assert (after["samples_pending"], after["histograms_pending"], after["exemplars_pending"]) == (0, 0, 0)


async def _quiet(work: object) -> None:
    try:
        await work  # type: ignore[misc]
    except Interrupted:
        pass


async def test_behind_counts_from_the_newest_in_kafka_as_old_as_samples_are_beside_their_records() -> None:
    rig = Rig(make_instruments=instruments)
    await rig.process(mixed(0, samples=1, histograms=0, exemplars=0))  # its samples are 11 s older than its record
    rig.instruments.waiting(TS + 400_000)
    found = shown(rig)
    behind = found["queue_highest_timestamp_seconds"] - found["queue_highest_sent_timestamp_seconds"]
    assert behind == 400 - 11 - 9
    rig.instruments.waiting(TS + 100_000)
    assert shown(rig)["queue_highest_timestamp_seconds"] == found["queue_highest_timestamp_seconds"], "it never falls"


async def test_metadata_alone_has_counters_of_its_own() -> None:
    rig = Rig(make_instruments=instruments)
    for outcome in (Delivered(), Rejected("bad_request", "", 400), Retry("503"), Refused("x", "")):
        rig.instruments.metadata(5, outcome, took_s=0.1, size_bytes=70)
    found = shown(rig)
    assert (found["metadata_total"], found["metadata_failed_total"], found["metadata_retried_total"]) == (5, 5, 10)
    assert (found["metadata_bytes_total"], found["bytes_total"], found["samples_total"]) == (70, 0, 0)


async def test_a_backend_that_moves_takes_its_old_address_off_the_page() -> None:
    rig = Rig(make_instruments=instruments, rewriter=dropping("m"))
    await rig.process(record(series("m", 1), 1))
    assert URL in rig.telemetry.render().decode()
    rig.instruments.forget()
    assert URL not in rig.telemetry.render().decode()


@pytest.mark.parametrize(
    ("block", "items", "wanted"),
    [
        (b"not a block", 4, kinds.Kinds(4)),
        (compression.compress(series("m", 1, 2)), 2, kinds.Kinds(2)),
        (mixed(0, samples=1, histograms=2, exemplars=3).value, 4, kinds.Kinds(2, 2, 3)),
    ],
)
def test_kinds_of_a_block(block: bytes, items: int, wanted: kinds.Kinds) -> None:
    assert kinds.of_block(block, items) == wanted


@pytest.mark.parametrize("extras", [0, METADATA])
def test_nothing_is_looked_into_that_does_not_say_it_is_mixed(extras: int) -> None:
    headers = RecordHeaders(Kind.METRICS, 1, 7, TS, TS, "p", 0, extras=extras).encode()
    plain = Record("headrace.metrics", 3, 0, b"k", b"never opened", dict(headers), TS / 1000)
    assert not kinds.mixed(plain)
    assert kinds.of_piece(Piece(plain, b"never opened", 7)) == kinds.Kinds(7)


# --- the names of Loki's clients -----------------------------------------------------------------------------------


def loki(telemetry: Telemetry, _ledger: Ledger) -> Instruments:
    return LokiInstruments("b", "http://loki:3100/loki/api/v1/push", telemetry, SystemClock(), tenant="mesh")


def logs_rig(script: object = ()) -> Rig:
    return Rig(script, codec=LogsCodec(), limits=Limits(), make_instruments=loki)  # type: ignore[arg-type]


def logs(*said: str, offset: int = 0) -> Record:
    return record(stream({"app": "a"}, *said), len(said), kind=Kind.LOGS, offset=offset)


async def test_lines_are_counted_as_promtail_and_as_loki_write_count_them() -> None:
    rig = logs_rig([Retry("429", status=429), Retry("no answer"), Delivered(status=204)])
    await rig.process(logs("one", "two"))
    page = rig.telemetry.render().decode()
    size = len(rig.client.bodies[0])
    host = 'host="loki:3100"'
    for line in (
        f"promtail_sent_entries_total{{{host}}} 2.0",
        f"promtail_sent_bytes_total{{{host}}} {size:.1f}",
        f"promtail_encoded_bytes_total{{{host}}} {3 * size:.1f}",
        f'promtail_batch_retries_total{{{host},tenant="mesh"}} 2.0',
        f'promtail_request_duration_seconds_count{{{host},status_code="204"}} 1.0',
        f'promtail_request_duration_seconds_count{{{host},status_code="429"}} 1.0',
        f'promtail_request_duration_seconds_count{{{host},status_code="-1"}} 1.0',
        f'promtail_dropped_entries_total{{{host},reason="rate_limited",tenant="mesh"}} 0.0',
        f'loki_write_sent_entries_total{{{host},tenant="mesh"}} 2.0',
        f'loki_write_sent_bytes_total{{{host},tenant="mesh"}} {size:.1f}',
        f'loki_write_batch_retries_total{{{host},tenant="mesh"}} 2.0',
        f'loki_write_entry_propagation_latency_seconds_count{{{host},tenant="mesh"}} 1.0',
        f'loki_write_request_duration_seconds_count{{{host},status_code="204",tenant="mesh"}} 1.0',
    ):
        assert _row(line) in {_row(one) for one in page.splitlines() if "{" in one}, line


def _row(line: str) -> tuple[str, frozenset[str], str]:
    """Name, labels in whatever order, value."""
    name, _, rest = line.partition("{")
    labels, _, value = rest.rpartition("} ")
    return name, frozenset(labels.split(",")), value


@pytest.mark.parametrize(
    ("reason", "shown_as"),
    [("line_too_long", "line_too_long"), ("stream_limit", "stream_limited"), ("rate_limited", "rate_limited"),
     ("too_far_behind", "ingester_error")],
)  # fmt: skip
async def test_lines_that_loki_rejects_for_good_are_dropped_for_one_of_its_clients_reasons(
    reason: str, shown_as: str
) -> None:
    def script(body: bytes) -> Delivered | Rejected:
        return Rejected(reason, "no", 400) if "bad" in lines(body) else Delivered(status=204)

    rig = logs_rig(script)
    await rig.process(logs("good", "bad"))
    page = rig.telemetry.render().decode()
    for name in ("promtail", "loki_write"):
        assert f'{name}_dropped_entries_total{{host="loki:3100",reason="{shown_as}",tenant="mesh"}} 1.0' in page
    assert (
        sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if "promtail_dropped_entries_total{" in line)
        == 1
    )


async def test_a_records_tenant_outranks_the_configured_one_and_there_is_a_bound_on_them() -> None:
    telemetry = Telemetry()
    made = LokiInstruments("b", "http://loki:3100/push", telemetry, SystemClock())
    lane = Rig().lane
    for number in range(MOST_TENANTS + 50):
        one = logs("x")
        tenant = Record(one.topic, 3, 0, None, one.value, {**one.headers, "tenant": b"t%d" % number}, TS / 1000)
        made.sent(lane, [Piece(tenant, one.value, 1)], Delivered(status=204), took_s=0.1, size_bytes=9)
    page = telemetry.render().decode()
    assert 'loki_write_sent_entries_total{host="loki:3100",tenant="t7"} 1.0' in page
    assert f'loki_write_sent_entries_total{{host="loki:3100",tenant="{OTHERS}"}} 51.0' in page


def test_every_name_of_the_field_is_that_of_the_field() -> None:
    remote = {metric.name.removeprefix("prometheus_remote_storage_"): metric for metric in catalogue.REMOTE_WRITE}
    assert {name for name, metric in remote.items() if metric.labels == ()} == {
        "highest_timestamp_in_seconds", "samples_in_total", "histograms_in_total", "exemplars_in_total",
    }  # fmt: skip
    assert all(one.labels[:2] == ("remote_name", "url") for one in remote.values() if one.labels)
    assert len(catalogue.LOKI_CLIENTS) == 15
