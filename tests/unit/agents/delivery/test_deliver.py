"""Outcomes: what is retried, divided, dead-lettered or counted; and that nothing settles before it has one."""

from __future__ import annotations

import asyncio
import random

import pytest

from agents.content.batch import Limits, Piece
from agents.content.logs import LogsCodec
from agents.lanes.lane import Interrupted, Lane, State
from pipeline.clients.outcome import Delivered, Load, Refused, Rejected, Retry
from tests.unit.agents.builders import Rig, lines, names, record, series, stream
from topics import compression
from topics.errors import KafkaUnavailable
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind, RecordHeaders

BAD = Rejected("bad_request", "I do not like it", 400)
OUT_OF_ORDER = Rejected("out_of_order", "out of order sample", 400)


def many(count: int, offset: int = 0, value: float = 1) -> bytes:
    return b"".join(series(f"m{offset}_{i}", value) for i in range(count))


def ledger(rig: Rig) -> dict:
    found = rig.ledger.summary()
    outcomes = sum(sum(found[name].values()) for name in ("ruled_out", "rejected", "dead_lettered"))
    assert found["in"] == found["delivered"] + outcomes + found["pending"]
    assert found["difference"] == 0
    return found


async def test_without_rules_the_records_blocks_are_joined_and_sent_undecoded():
    rig = Rig()
    records = [record(many(3, offset), 3, offset=offset) for offset in range(4)]
    await rig.process(*records)
    assert rig.client.bodies == [compression.join_blocks([one.value for one in records])]
    assert rig.settled == [0, 1, 2, 3]
    assert ledger(rig)["delivered"] == 12


async def test_retries_go_on_until_the_backend_takes_it():
    rig = Rig([Retry("503"), Retry("timeout"), Refused("unauthorized", "who?"), Retry("429", 0.0)])
    rig.lane.nudge()
    task_settled_before = list(rig.settled)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(rig.process(record(many(2), 2)))
        while not work.done():
            rig.lane.nudge()  # a paused lane is told that another one got through
            await asyncio.sleep(0.001)
    assert task_settled_before == []
    assert len(rig.client.bodies) == 5
    assert len(set(rig.client.bodies)) == 1
    assert ledger(rig)["delivered"] == 2


async def test_a_lane_knows_when_what_is_in_hand_has_its_outcome_in_part():
    """Then it must be finished: given to anybody else it would come twice."""
    begun = []
    rig = Rig([Delivered(), Delivered(), BAD, Delivered(), Delivered()], limits=Limits(max_items=4, split=True))
    rig.client.hook = lambda: begun.append(rig.lane.begun)
    await rig.process(record(many(4, 0), 4), record(many(6, 1), 6, offset=1), record(many(2, 2), 2, offset=2))
    assert [len(names(body)) for body in rig.client.bodies] == [4, 4, 4, 2, 2]
    assert begun == [False, False, True, True, True]
    assert rig.lane.begun is False


@pytest.mark.parametrize("script", [[BAD, Delivered(), Delivered()], [BAD, BAD, BAD, Delivered(), Delivered()]])
async def test_so_it_does_while_a_request_is_divided_and_when_a_part_is_dead_lettered(script):
    begun = []
    rig = Rig(script)
    rig.client.hook = lambda: begun.append((len(names(rig.client.bodies[-1])), rig.lane.begun))
    await rig.process(record(many(4), 4))
    sizes = [size for size, _ in begun]
    assert sizes == ([4, 2, 2] if len(script) == 3 else [4, 2, 1, 1, 2])
    first_after_an_outcome = 2 if len(script) == 3 else 3
    assert [one for _, one in begun] == [number >= first_after_an_outcome for number in range(len(begun))]


async def test_the_client_is_told_how_often_a_request_was_sent_before():
    rig = Rig([Retry("busy"), Retry("busy"), Retry("busy"), Delivered(), Retry("busy"), Delivered()])
    await rig.process(record(series("a", 1), 1))
    await rig.process(record(series("b", 1), 1, offset=1))
    assert rig.client.attempts == [0, 1, 2, 3, 0, 1]


async def test_samples_that_a_backend_leaves_out_of_a_2xx_are_counted_apart():
    rig = Rig([Delivered(unwritten=2)])
    await rig.process(record(series("a", 1, 2, 3), 3))
    assert (ledger(rig)["delivered"], ledger(rig)["rejected"]) == (1, {"not_written": 2})


async def test_the_state_says_what_is_wrong():
    seen = []
    rig = Rig([Retry("503 busy"), Refused("unauthorized", "401 who?")])
    rig.client.hook = lambda: (seen.append((rig.lane.state, rig.lane.reason)), rig.lane.nudge())
    async with asyncio.TaskGroup() as group:
        work = group.create_task(rig.process(record(many(1), 1)))
        while not work.done():
            rig.lane.nudge()
            await asyncio.sleep(0.001)
    assert seen == [
        (State.DELIVERING, ""),
        (State.RETRYING, "503 busy"),
        (State.PAUSED, "unauthorized: 401 who?"),
    ]
    assert rig.lane.state is State.DELIVERING
    assert rig.lane.reason == ""


async def test_nothing_settles_while_the_backend_has_not_answered():
    rig = Rig(lambda body: Retry("down"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await rig.process(record(many(2), 2))
    assert rig.settled == []
    found = ledger(rig)
    assert (found["in"], found["delivered"], found["pending"]) == (0, 0, 0)  # given back
    assert rig.account.returned == 2


@pytest.mark.parametrize("bad", [{0}, {7}, {15}, {3, 4}, {0, 15}, set(range(16)), set()])
async def test_bisecting_finds_exactly_the_bad_series(bad):
    def script(body: bytes):
        return BAD if any(f"m{i}_0=1" in names(body) for i in bad) else Delivered()

    rig = Rig(script)
    await rig.process(*(record(many(1, offset) + many(1, offset + 100), 2, offset=offset) for offset in range(16)))
    delivered = [name for body in rig.client.accepted for name in names(body)]
    wanted = [f"m{number}_0=1" for i in range(16) for number in (i, i + 100)]
    assert delivered == [name for name in wanted if name not in {f"m{i}_0=1" for i in bad}]  # in order, too
    assert [name for letter in rig.letters for name in names(letter.value)] == [f"m{i}_0=1" for i in sorted(bad)]
    assert ledger(rig)["dead_lettered"] == ({"bad_request": len(bad)} if bad else {})
    assert rig.settled == list(range(16))


async def test_bisecting_lines_delivers_the_good_ones_of_the_same_stream():
    def script(body: bytes):
        return BAD if "bad" in lines(body) else Delivered()

    rig = Rig(script, codec=LogsCodec())
    body = stream({"app": "a"}, "one", "bad", "two") + stream({"app": "b"}, "three")
    await rig.process(record(body, 4, kind=Kind.LOGS))
    assert [line for body in rig.client.accepted for line in lines(body)] == ["one", "two", "three"]
    [letter] = rig.letters
    assert lines(letter.value) == ["bad"]
    assert ledger(rig)["dead_lettered"] == {"bad_request": 1}


async def test_a_dead_letter_says_where_it_comes_from_and_what_the_backend_said():
    rig = Rig(lambda body: BAD if "m1_0=1" in names(body) else Delivered())
    await rig.process(record(many(1, 1) + many(1, 2), 2, offset=77))
    [letter] = rig.letters
    headers = dict(letter.headers)
    assert letter.partition == 3
    assert letter.key == b"3/12"
    assert headers["dead.backend"] == b"b"
    assert headers["dead.reason"] == b"bad_request"
    assert headers["dead.detail"] == b"I do not like it"
    assert headers["dead.status"] == b"400"
    assert headers["dead.origin"] == b"headrace.metrics/3/77"
    assert int(headers["dead.time_ms"]) > 1_600_000_000_000
    counts = RecordHeaders.decode(letter.headers)
    assert (counts.series, counts.samples, counts.producer, counts.sequence) == (1, 1, "p", 77)


async def test_a_record_is_settled_only_after_its_dead_letter_is_stored():
    rig = Rig(lambda body: BAD)
    rig.letter_failures = [KafkaUnavailable("no broker"), KafkaUnavailable("no broker")]
    async with asyncio.TaskGroup() as group:
        work = group.create_task(rig.process(record(many(1), 1)))
        while rig.letter_failures:
            assert rig.settled == []
            rig.lane.nudge()
            await asyncio.sleep(0)
        while not work.done():
            rig.lane.nudge()
            await asyncio.sleep(0.001)
    assert len(rig.letters) == 1
    assert rig.settled == [0]


async def test_out_of_order_at_the_first_sending_is_dead_lettered():
    rig = Rig(lambda body: OUT_OF_ORDER if "m1_0=1" in names(body) else Delivered())
    await rig.process(record(many(1, 1) + many(1, 2), 2))
    assert ledger(rig)["dead_lettered"] == {"out_of_order": 1}
    assert not rig.account.totals.rejected


async def test_out_of_order_after_a_resend_is_counted_not_dead_lettered():
    answers = iter([Retry("timeout")])

    def script(body: bytes):
        return next(answers, None) or (OUT_OF_ORDER if "m1_0=1" in names(body) else Delivered())

    rig = Rig(script)
    await rig.process(record(many(1, 1) + many(1, 2), 2))
    found = ledger(rig)
    assert found["rejected"] == {"out_of_order": 1}
    assert found["delivered"] == 1
    assert not rig.letters


async def test_out_of_order_of_a_record_that_may_have_been_delivered_before_is_counted():
    rig = Rig(lambda body: OUT_OF_ORDER)
    await rig.process(record(many(2), 2, seen_before=True))
    assert ledger(rig)["rejected"] == {"out_of_order": 2}
    assert not rig.letters


async def test_a_bad_request_of_a_record_that_may_have_been_delivered_before_is_dead_lettered():
    rig = Rig(lambda body: BAD)
    await rig.process(record(many(2), 2, seen_before=True))
    assert ledger(rig)["dead_lettered"] == {"bad_request": 2}


async def test_what_a_backend_stored_beside_what_it_had_before_is_counted():
    """Records before and after a takeover in one request: Prometheus 3 refuses the former and stores the latter."""
    newest = 2.0  # of the one series: what a process that was killed has delivered

    def script(body: bytes):
        nonlocal newest
        late = False
        for one in WriteRequest.FromString(compression.decompress(body)).timeseries:
            for sample in one.samples:
                late |= sample.value < newest
                newest = max(newest, sample.value)
        return Rejected("out_of_order", "out of order sample", 400) if late else Delivered()

    rig = Rig(script)
    old = [record(series("a", number), 1, offset=number, seen_before=True) for number in (1, 2)]
    new = [record(series("a", number), 1, offset=number) for number in (3, 4, 5)]
    await rig.process(*old, *new)
    assert rig.letters == []
    found = ledger(rig)
    assert found["delivered"] + found["rejected"]["out_of_order"] == 5


async def test_what_a_backend_stored_of_a_request_that_it_rejected_is_counted():
    """Mimir and Loki store the good part of a request and answer 400 for the rest."""
    stored: set[str] = set()

    def script(body: bytes):
        found = names(body)
        if any(name in stored for name in found):
            return OUT_OF_ORDER
        stored.update(name for name in found if name != "m1_0=1")
        return BAD if "m1_0=1" in found else Delivered()

    rig = Rig(script)
    await rig.process(record(many(4, 1), 4))
    found = ledger(rig)
    assert found["dead_lettered"] == {"bad_request": 1}
    assert found["rejected"] == {"out_of_order": 3}


async def test_413_divides_and_makes_later_requests_smaller():
    def script(body: bytes):
        return Rejected("too_large", "", 413) if len(names(body)) > 5 else Delivered()

    rig = Rig(script, limits=Limits(max_bytes=1 << 20))
    await rig.process(*(record(many(2, offset), 2, offset=offset) for offset in range(8)))
    assert ledger(rig)["delivered"] == 16
    assert rig.size.limits.max_bytes < 1 << 20
    assert not rig.letters


async def test_an_interrupt_ends_the_waiting_and_gives_back_what_is_pending():
    rig = Rig(lambda body: Refused("unauthorized", ""))

    async def stop_when_paused() -> None:
        while rig.lane.state is not State.PAUSED:
            await asyncio.sleep(0)
        rig.lane.stop()

    async with asyncio.TaskGroup() as group:
        group.create_task(stop_when_paused())
        with pytest.raises(Interrupted):
            await rig.process(record(many(2), 2))
    assert rig.settled == []
    assert ledger(rig)["in"] == 0


async def test_an_interrupt_lets_the_request_in_flight_end_but_sends_no_other():
    rig = Rig(limits=Limits(max_items=2))
    rig.client.hook = rig.lane.stop
    with pytest.raises(Interrupted):
        await rig.process(*(record(many(2, offset), 2, offset=offset) for offset in range(3)))
    assert len(rig.client.accepted) == 1
    assert rig.settled == [0]
    found = ledger(rig)
    assert (found["in"], found["delivered"]) == (2, 2)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no snappy",
        compression.compress(b"no protobuf"),
        b"\xff\xff\xff\xff\x0fxx",
        compression.compress(many(3))[:-5],
    ],
)
@pytest.mark.parametrize("headers", [True, False])
async def test_a_record_that_cannot_be_read_is_dead_lettered_as_it_is_and_its_neighbours_arrive(value, headers):
    def script(body: bytes):
        try:
            names(body)
        except Exception:  # noqa: BLE001
            return BAD
        return Delivered()

    rig = Rig(script)
    good = [record(many(1, 1), 1, offset=0), record(many(1, 2), 1, offset=2)]
    await rig.process(good[0], record(b"", 5, offset=1, value=value, headers=headers), good[1])
    assert [name for body in rig.client.accepted for name in names(body)] == ["m1_0=1", "m2_0=1"]
    [letter] = rig.letters
    assert letter.value == value
    assert rig.settled == [0, 1, 2]
    found = ledger(rig)
    assert sum(found["dead_lettered"].values()) == (5 if headers else 1)


async def test_a_corrupt_record_that_a_backend_answers_500_to_does_not_block_the_partition():
    def script(body: bytes):
        try:
            names(body)
        except Exception:  # noqa: BLE001
            return Retry("500 Internal Server Error")
        return Delivered()

    rig = Rig(script)
    broken = compression.compress(many(3))[:-5]
    await rig.process(record(many(1, 1), 1), record(b"", 3, offset=1, value=broken), record(many(1, 2), 1, offset=2))
    assert [letter.value for letter in rig.letters] == [broken]
    assert ledger(rig)["delivered"] == 2


async def test_a_letter_is_written_when_its_turn_comes_and_not_again_after_a_cut():
    """What stands before it has its outcome first; what stands before everything is settled at once."""

    def script(body: bytes):
        if len(rig.client.bodies) == 1:
            rig.lane.stop()
        return Retry("503") if len(rig.client.bodies) == 1 else Delivered()

    rig = Rig(script)
    bad = [record(b"", 1, offset=offset, value=b"no block %d" % offset) for offset in (0, 2, 4)]
    good = [record(many(1, offset), 1, offset=offset) for offset in (1, 3)]
    records = sorted([*bad, *good], key=lambda one: one.offset)
    with pytest.raises(Interrupted):
        await rig.process(*records)
    assert [letter.value for letter in rig.letters] == [b"no block 0"]
    assert rig.settled == [0]
    rig.lane.resume()
    await rig.process(*records[1:])
    assert [letter.value for letter in rig.letters] == [one.value for one in bad]
    assert rig.settled == [0, 1, 2, 3, 4]
    assert ledger(rig)["delivered"] == 2


async def test_a_record_of_another_kind_is_dead_lettered():
    rig = Rig()
    await rig.process(record(stream({"a": "b"}, "line"), 1, kind=Kind.LOGS))
    assert ledger(rig)["dead_lettered"] == {"bad_record": 1}
    assert not rig.client.bodies


async def test_a_record_of_a_newer_version_is_dead_lettered():
    one = record(many(1), 1)
    newer = type(one)(one.topic, 3, 0, one.key, one.value, {**one.headers, "version": b"9"}, one.timestamp_s)
    rig = Rig()
    await rig.process(newer)
    assert ledger(rig)["dead_lettered"] == {"bad_record": 1}


async def test_records_without_our_headers_are_decoded_counted_and_delivered():
    rig = Rig()
    await rig.process(record(many(3), 0, headers=False))
    assert ledger(rig)["delivered"] == 3


async def test_a_record_of_somebody_else_that_cannot_be_read_is_never_joined_with_others():
    """A message cut off in its middle would take the beginning of the next record for its own end."""
    rig = Rig()  # takes everything, as a lenient backend may
    cut_off = many(3)[:-20]
    await rig.process(
        record(many(1, 1), 1),
        record(b"", 0, offset=1, headers=False, value=compression.compress(cut_off)),
        record(many(1, 2), 1, offset=2),
    )
    assert [name for body in rig.client.bodies for name in names(body)] == ["m1_0=1", "m2_0=1"]
    assert [compression.decompress(letter.value) for letter in rig.letters] == [cut_off]


async def test_headers_that_lie_show_as_a_difference():
    rig = Rig(lambda body: BAD if len(names(body)) > 1 else Delivered())
    await rig.process(record(many(2), 5))
    assert rig.ledger.summary()["difference"] == 3


async def test_closing_waits_for_the_lanes_inside():
    rig = Rig()
    closed_inside = []

    def close_now() -> None:
        closing.append(asyncio.get_running_loop().create_task(rig.delivery.close()))

    closing: list[asyncio.Task[None]] = []
    rig.client.hook = lambda: (close_now(), closed_inside.append(rig.client.closed))
    await rig.process(record(many(1), 1))
    await asyncio.gather(*closing)
    assert closed_inside == [0]
    assert rig.client.closed >= 1


async def test_a_backend_that_is_away_is_said_once_for_all_its_partitions(caplog):
    rig = Rig([Retry("refused"), Retry("refused")])
    other = Lane(4, rig.clock)
    caplog.set_level("INFO", "agents.delivery.deliver")
    piece = Piece(record(many(1), 1), compression.compress(many(1)), 1)
    for lane in (rig.lane, other):
        rig.ledger.partition(lane.partition).take(piece.record, 1)
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(rig.deliverer.deliver(lane, [piece])) for lane in (rig.lane, other)]
        while not all(task.done() for task in work):
            rig.lane.nudge()
            other.nudge()
            await asyncio.sleep(0.001)
    said = [one.getMessage() for one in caplog.records]
    assert said == ["backend b is retrying, partition 3 first: refused", "backend b delivers again"]


async def test_a_request_that_is_too_much_again_and_again_is_divided_in_order_and_later_ones_are_smaller():
    noise = random.Random(1)
    body = b"".join(series("m", n, id=noise.randbytes(100).hex()) for n in range(2000))
    rig = Rig(lambda sent: Retry("timeout", load=Load.HEAVY) if len(sent) > 100_000 else Delivered())
    before = rig.size.limits.max_bytes
    await rig.process(record(body, 2000))
    values = [float(name.split("=")[1]) for sent in rig.client.accepted for name in names(sent)]
    assert values == list(range(2000))
    assert max(map(len, rig.client.accepted)) <= 100_000
    assert rig.size.limits.max_bytes < before
    assert ledger(rig)["delivered"] == 2000


async def test_a_single_busy_answer_divides_nothing():
    body = b"".join(series("m", n, id=str(n) * 50) for n in range(2000))
    rig = Rig([Retry("timeout", load=Load.HEAVY)])
    await rig.process(record(body, 2000))
    assert len(rig.client.bodies) == 2
    assert rig.client.bodies[0] == rig.client.bodies[1]


async def test_a_small_request_is_not_divided_however_often_the_backend_is_too_busy():
    rig = Rig([Retry("429", 0.0, Load.HEAVY)] * 6)
    await rig.process(record(many(50), 50))
    assert len(rig.client.accepted) == 1
