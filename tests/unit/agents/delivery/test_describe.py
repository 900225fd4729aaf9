"""Metadata of metrics on its way to a backend: by itself, at most so often, and never in the way of samples."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest

from agents.delivery.describe import Describer, Describing
from pipeline.clients.backoff import Backoff
from pipeline.clients.families import Families
from pipeline.clients.outcome import Delivered, Outcome, Refused, Rejected, Retry
from pipeline.config.remote_write import MetadataConfig
from tests.support.fakes import FakeClock
from topics import compression, metadata, write_request


class FakeDelivery:
    """What the describer sees of a delivery."""

    def __init__(self, clock: FakeClock, outcomes: Iterable[Outcome] = (), **settings: object) -> None:
        self.bodies: list[list[str]] = []
        self.tenants: list[str] = []
        self.tries: list[int] = []
        self.describes = True
        self.hook: Callable[[], None] = lambda: None
        self._outcomes = iter(list(outcomes))
        self._settings = MetadataConfig.model_validate(settings)
        self._clock = clock

    @property
    def describing(self) -> Describing | None:
        if not self.describes:
            return None
        return Describing(self, self._settings, lambda: Backoff(1.0, 1.0), self._clock)  # type: ignore[arg-type]

    async def describe(self, body: bytes, entries: int, tenant: str, tries: int) -> Outcome:
        found = [
            write_request.decode_metadata(raw) for raw in write_request.split_metadata(compression.decompress(body))
        ]
        assert len(found) == entries
        assert write_request.split(compression.decompress(body)) == []
        self.bodies.append([name for name, *_ in found])
        self.tenants.append(tenant)
        self.tries.append(tries)
        self.hook()
        return next(self._outcomes, Delivered())


class Rig:
    def __init__(self, outcomes: Iterable[Outcome] = (), **settings: object) -> None:
        self.clock = FakeClock()
        self.families = Families(self.clock)
        self.delivery = FakeDelivery(self.clock, outcomes, **settings)
        self.describer = Describer("b", self.families, self.clock, lambda: self.delivery)  # type: ignore[arg-type,return-value]

    def hear(self, *names: str, tenant: str = "") -> None:
        body = write_request.join_metadata([metadata.encode(name, "gauge", "Help.", "") for name in names])
        self.families.hear(body, tenant=tenant)

    async def look(self) -> None:
        """One look, letting time pass where it waits."""
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self.describer.look())
            while not work.done():
                await asyncio.sleep(0)
                if self.clock.sleepers:
                    self.clock.advance(1)


async def test_what_was_heard_is_sent_at_once_and_then_once_in_an_interval():
    rig = Rig(send_interval="1m")
    rig.hear("a", "b")
    await rig.look()
    assert rig.delivery.bodies == [["a", "b"]]
    for _ in range(59):
        rig.clock.advance(1)
        rig.hear("a", "b")
        await rig.look()
    assert rig.delivery.bodies == [["a", "b"]]
    rig.clock.advance(1)
    await rig.look()
    assert rig.delivery.bodies == [["a", "b"], ["a", "b"]]


async def test_a_new_family_does_not_wait_for_the_others_turn():
    rig = Rig(send_interval="1h")
    rig.hear("a")
    await rig.look()
    rig.hear("a", "b")
    await rig.look()
    assert rig.delivery.bodies == [["a"], ["b"]]


async def test_a_request_holds_no_more_than_it_may_and_one_tenant():
    rig = Rig(max_samples_per_send=2)
    rig.hear("a", "b", "c")
    rig.hear("a", tenant="t1")
    await rig.look()
    assert rig.delivery.bodies == [["a", "b"], ["c"], ["a"]]
    assert rig.delivery.tenants == ["", "", "t1"]


async def test_a_request_is_bounded_in_bytes_too():
    rig = Rig()
    told = [metadata.encode(f"m{number}", "gauge", "x" * 60_000, "") for number in range(40)]
    rig.families.hear(write_request.join_metadata(told))
    await rig.look()
    assert [len(body) for body in rig.delivery.bodies] == [17, 17, 6]


async def test_what_may_pass_is_tried_again_until_it_does():
    rig = Rig([Retry("busy"), Retry("busy", 5.0), Delivered()])
    rig.hear("a")
    await rig.look()
    assert rig.delivery.bodies == [["a"]] * 3
    assert rig.delivery.tries == [0, 1, 2]


@pytest.mark.parametrize("refusal", [Rejected("bad_request", "what is this?", 400), Refused("forbidden", "no")])
async def test_what_is_refused_for_good_is_said_once_and_waits_for_its_next_turn(refusal, caplog):
    rig = Rig([refusal, refusal, Delivered()], send_interval="1m")
    for _ in range(3):
        rig.hear("a")
        await rig.look()
        await rig.look()
        rig.clock.advance(60)
    assert rig.delivery.bodies == [["a"]] * 3
    assert len([record for record in caplog.records if "takes no metadata" in record.getMessage()]) == 1


async def test_a_backend_that_has_it_with_its_series_gets_none_by_itself():
    rig = Rig()
    rig.hear("a")
    rig.delivery.describes = False
    await rig.look()
    assert rig.delivery.bodies == []


async def test_a_reload_in_the_middle_of_retries_goes_on_with_the_new_configuration():
    rig = Rig([Retry("busy")] * 100)
    rig.hear("a")
    before = rig.delivery

    def reload() -> None:
        rig.delivery = FakeDelivery(rig.clock)

    before.hook = reload
    await rig.look()
    assert before.bodies == [["a"]]
    assert rig.delivery.bodies == [["a"]]


async def test_what_is_not_heard_of_any_more_is_not_sent():
    rig = Rig(send_interval="1s")
    rig.hear("a")
    await rig.look()
    rig.clock.advance(1000)
    await rig.look()
    assert rig.delivery.bodies == [["a"]]
