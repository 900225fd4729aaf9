"""Faust's private parts that we build on. When one fails after an upgrade, read transport.py and intake.py anew.

The behaviours were found by experiment with the versions pinned in pyproject.toml.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.agents.agent import Agent
from faust.app.base import App
from faust.channels import Channel
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer as stock
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.threads import QueueServiceThread, ServiceThread

from agents.consumer.app import AgentApp, NoTables, buffers, create_app, register
from agents.consumer.transport import CommittedConsumer, CommittedThread, CommittedTransport
from pipeline.config.backends import Backend
from pipeline.config.kafka import KafkaConfig, TopicsConfig
from pipeline.config.remote_write import RemoteWriteConfig
from topics.record import Kind

TP0 = TP("t", 0)
TABLES_START = """
    async def on_start(self) -> None:
        \"""Call when table manager is starting.\"""
        await self.sleep(1.0)
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
"""


def test_the_versions_are_those_that_were_tried():
    assert version("faust-streaming") == "0.15.3"
    assert version("mode-streaming") == "0.7.1"
    assert version("aiokafka") == "0.14.0"


@pytest.fixture
def app() -> AgentApp:
    settings = RemoteWriteConfig.model_validate({"name": "b", "url": "http://h/"})
    kafka = KafkaConfig.model_validate({"brokers": ("127.0.0.1:1", "127.0.0.1:2")})

    async def agent(stream) -> None:
        pass

    made = create_app(Backend("b", Kind.METRICS, settings), kafka, TopicsConfig())
    register(made, kafka, Backend("b", Kind.METRICS, settings), agent)
    return made


class Offsets:
    """Only what `_new_offset` looks at."""

    def __init__(self, acked: set[int], committed: int | None) -> None:
        self._acked = {TP0: sorted(acked)}
        self._acked_index = {TP0: set(acked)}
        self._gap: dict[TP, list[int]] = {TP0: []}
        self._committed_offset = {TP0: committed}


@pytest.mark.parametrize(
    ("committed", "acked", "expected"),
    [
        (37, {37, 38, 39}, 40),
        (37, {38, 39}, 40),  # commits over one event that was never acknowledged
        (37, {39, 40}, None),  # a hole of two stops the commits
        (None, {5, 6, 7}, 8),  # nothing committed yet: no check at all
        (37, {37, 38, 41, 42}, 39),
    ],
)
def test_the_stock_rule_of_commits_is_still_the_one_we_replace(committed, acked, expected):
    assert stock.Consumer._new_offset(Offsets(acked, committed), TP0) == expected


@pytest.mark.parametrize(
    ("acked", "expected"),
    [({37, 38, 39}, 40), ({5}, 6), ({5, 7, 9}, 10), (set(), None)],
)
def test_our_rule_commits_the_highest_acknowledged_offset(acked, expected):
    offsets = Offsets(acked, 3)
    assert CommittedConsumer._new_offset(offsets, TP0) == expected
    assert not offsets._acked[TP0]
    assert not offsets._acked_index[TP0]


def test_an_offset_is_committed_only_when_it_is_higher():
    consumer = Offsets(set(), 37)
    assert not stock.Consumer._should_commit(consumer, TP0, 37)
    assert stock.Consumer._should_commit(consumer, TP0, 38)


def test_messages_are_drained_through_wait_first():
    source = inspect.getsource(stock.Consumer._drain_messages)
    assert "await self.wait_first(\n" in source
    assert "callback(message), self.suspend_flow.wait()" in source
    assert "await self._add_gap(tp, r_offset + 1, offset)" in source


def test_how_to_fetch_is_still_kept_in_attributes_read_at_the_start():
    assert "isolation_level" in inspect.signature(AIOKafkaConsumer.__init__).parameters
    start = inspect.getsource(AIOKafkaConsumer.start)
    for name in ("isolation_level", "fetch_min_bytes", "fetch_max_wait_ms"):
        assert f"{name}=self._{name}" in start, name
    assert "isolation_level" in inspect.signature(Fetcher.__init__).parameters
    assert "_create_worker_consumer" in driver.AIOKafkaConsumerThread.__dict__


def test_the_consumer_is_made_by_the_methods_that_we_override():
    assert "_new_consumer_thread" in driver.ThreadDelegateConsumer.__dict__ or hasattr(
        driver.Consumer, "_new_consumer_thread"
    )
    assert issubclass(CommittedThread, driver.AIOKafkaConsumerThread)
    assert CommittedTransport.Consumer is CommittedConsumer


def test_the_end_of_the_thread_is_still_what_we_replace():
    stop = inspect.getsource(driver.AIOKafkaConsumerThread.on_thread_stop)
    assert "await super().on_thread_stop()" in stop
    assert "await self._consumer.stop()" in stop
    assert "self._method_queue.stop()" in inspect.getsource(QueueServiceThread.on_thread_stop)
    assert "await self._gather_remaining_tasks()" in inspect.getsource(ServiceThread._serve)
    assert "await self.commit_and_end_transactions()" in inspect.getsource(stock.Consumer.on_stop)
    # When aiokafka suppresses this cancellation itself, the thread no longer dies of it.
    assert "            x.cancel()\n            await x\n" in inspect.getsource(Fetcher.close)


def test_every_request_goes_through_the_clients_send():
    assert list(inspect.signature(AIOKafkaClient.send).parameters) == ["self", "node_id", "request", "group"]
    for part in (Fetcher, GroupCoordinator):
        source = inspect.getsource(part)
        assert "self._client.send(" in source
        assert "._conns" not in source


def test_a_commit_leaves_out_partitions_that_are_no_longer_ours():
    source = inspect.getsource(driver.AIOKafkaConsumerThread._commit)
    assert "if tp in self.assignment()" in source
    assert inspect.iscoroutinefunction(driver.Consumer._commit)


def test_what_a_commit_and_the_search_for_stuck_partitions_do_beside_logging():
    commit = inspect.getsource(stock.Consumer._commit_offsets)
    for line in (
        "if tp in assignment",
        "await self.app.producer.flush()",
        "did_commit = await self._commit(committable_offsets)",
        "self.app.tables.on_commit(committable_offsets)",
        "self._committed_offset.update(committable_offsets)",
        "self.app.monitor.on_tp_commit(committable_offsets)",
    ):
        assert line in commit
    assert inspect.signature(CommittedConsumer._commit_offsets).parameters.keys() == {
        "self", "offsets", "start_new_transaction",
    }  # fmt: skip
    assert "verify_event_path" in inspect.getsource(stock.Consumer.verify_all_partitions_active)
    thread = inspect.getsource(driver.AIOKafkaConsumerThread._verify_aiokafka_event_path)
    assert "self.log" in thread
    assert "raise" not in thread
    assert inspect.iscoroutinefunction(stock.Consumer.verify_all_partitions_active)


async def test_a_commit_is_of_the_partitions_that_are_ours_only():
    class Committing:
        """Only what `_commit_offsets` looks at."""

        def __init__(self) -> None:
            self.taken: list[dict[TP, int]] = []
            self._committed_offset: dict[TP, int] = {}

        def assignment(self) -> set[TP]:
            return {TP0}

        async def _commit(self, offsets: dict[TP, int]) -> bool:
            self.taken.append(offsets)
            return True

    consumer = Committing()
    assert await CommittedConsumer._commit_offsets(consumer, {TP0: 5, TP("t", 1): 7})
    assert not await CommittedConsumer._commit_offsets(consumer, {TP("t", 1): 8})
    assert consumer.taken == [{TP0: 5}]
    assert consumer._committed_offset == {TP0: 5}


def test_a_revoke_suspends_the_flow_clears_the_queues_and_then_tells_us():
    source = inspect.getsource(App._on_partitions_revoked)
    order = ["consumer.stop_flow", "self.flow_control.suspend", "self.flow_control.clear", "on_partitions_revoked.send"]
    assert [source.index(step) for step in order] == sorted(source.index(step) for step in order)


def test_a_stop_tells_us_before_the_consumer_is_gone():
    source = inspect.getsource(App.on_stop)
    assert source.index("self._stop_consumer()") < source.index("self.on_before_shutdown.send()")


def test_names_that_the_intake_and_the_gauges_use(app):
    assert callable(Channel.on_stop_iteration)
    assert hasattr(Agent, "on_isolated_partitions_revoked")
    for name in ("consumer_generation_id", "crashed", "crash_reason", "rebalancing", "_assignment", "flow_control"):
        assert hasattr(app, name), name
    assert callable(app.flow_control.is_active)
    for name in ("highwater", "assignment", "_commit"):
        assert callable(getattr(stock.Consumer, name, None) or getattr(driver.Consumer, name)), name
    assert "generation_id" in inspect.signature(faust.types.Message.__init__).parameters


@pytest.mark.parametrize(("partitions", "record_bytes"), [(1, 1024), (12, 128 * 1024), (64, 1 << 20), (1024, 4 << 20)])
def test_one_poll_can_never_overfill_a_queue(partitions, record_bytes):
    bound = buffers(partitions, record_bytes)
    assert 1 <= bound.poll_records <= bound.queue_records - int(bound.queue_records / 1.25)


def test_the_settings_that_keep_the_promises(app):
    conf = app.conf
    assert conf.id == "headrace.agent.b"
    assert conf.broker_max_poll_interval >= 86_400  # or a long outage hangs the worker for ever
    assert conf.stream_wait_empty is False  # or SIGTERM hangs with a dead backend
    assert conf.topic_disable_leader
    assert not conf.topic_allow_declare
    assert not conf.web_enabled
    assert conf.table_standby_replicas == 0
    assert conf.consumer_auto_offset_reset == "none"  # nothing moves silently
    assert conf.broker_session_timeout <= conf.broker_request_timeout
    assert conf.producer_acks == -1
    assert [str(url) for url in conf.broker] == ["kafka://127.0.0.1:1", "kafka://127.0.0.1:2"]
    assert isinstance(app.transport, CommittedTransport)
    assert app.in_worker
    [agent] = app.agents.values()
    assert agent.isolated_partitions
    assert agent.concurrency == 1


def test_making_an_app_touches_no_disk(app, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app._create_directories()
    assert not list(tmp_path.iterdir())


def test_stock_sleeps_for_a_second_where_nothing_may_be_fetched(app):
    """Ours looks again sooner: what is new is not to wait for that when a backend is back."""
    text = inspect.getsource(stock.Consumer._wait_next_records)
    assert "active_partitions = self._get_active_partitions()" in text
    assert "await self.sleep(1)" in text
    assert "return records, active_partitions" in text
    assert "flow_active" in text
    assert CommittedConsumer._wait_next_records is not stock.Consumer._wait_next_records


def test_stock_waits_a_second_for_tables_before_anything_is_read(app):
    assert inspect.getsource(TableManager.on_start).split() == TABLES_START.split()
    tables = inspect.getsource(TableManager._update_channels)
    assert "self._tables_registered.set()" in tables  # what the subscription waits for
    assert type(app.tables) is NoTables


@pytest.mark.parametrize(("registered_after", "looks"), [(0, 0), (3, 3), (10**6, 100)])
async def test_ours_begins_as_soon_as_the_agent_has_its_topic_and_after_a_second_in_any_case(
    app, monkeypatch, registered_after, looks
):
    """What is not there by then would be subscribed to 45 s later."""
    slept = []
    steps = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)

    async def update() -> None:
        steps.append("subscribe")

    async def recover() -> None:
        steps.append("recovery")

    tables = app.tables
    monkeypatch.setattr(NoTables, "should_stop", False)
    monkeypatch.setattr(type(app.topics), "__len__", lambda self: len(slept) >= registered_after)
    monkeypatch.setattr(tables, "sleep", sleep)
    monkeypatch.setattr(tables, "_update_channels", update)
    monkeypatch.setattr(tables.recovery, "start", recover)
    await tables.on_start()
    assert len(slept) == pytest.approx(looks, abs=1)
    assert steps == ["subscribe", "recovery"]


def test_what_travels_with_a_commit_goes_and_comes_where_we_put_it():
    fetch = inspect.getsource(GroupCoordinator._do_fetch_commit_offsets)
    assert "offsets[tp] = OffsetAndMetadata(offset, metadata)" in fetch
    assert list(inspect.signature(GroupCoordinator.fetch_committed_offsets).parameters) == ["self", "partitions"]
    assert "offset.offset, offset.metadata" in inspect.getsource(GroupCoordinator._do_commit_offsets)
    assert "self._commit_offsets(" in inspect.getsource(stock.Consumer._commit_tps)
    assert "self._filter_committable_offsets(tps)" in inspect.getsource(stock.Consumer._commit_tps)
    assert "call_thread(self._commit, offsets)" in inspect.getsource(driver.AIOKafkaConsumerThread.commit)


def test_every_assignment_is_placed_before_its_flow_is_resumed():
    for source in (inspect.getsource(Recovery.on_recovery_completed), inspect.getsource(Recovery._resume_streams)):
        assert source.index("consumer.perform_seek()") < source.index("consumer.resume_flow()")
    assert "on_partitions_revoked" in stock.Consumer.__dict__
    assert "on_partitions_assigned" in stock.Consumer.__dict__
    drain = inspect.getsource(stock.Consumer._drain_messages)
    assert "if r_offset is None or offset >= r_offset:" in drain  # or what is below the old position is dropped


def test_an_offset_that_is_not_there_is_an_error_and_no_move():
    source = inspect.getsource(Fetcher._proc_fetch_request)
    assert "err = Errors.OffsetOutOfRangeError({tp: fetch_offset})" in source
    assert "self._default_reset_strategy != OffsetResetStrategy.NONE" in source
    assert "Errors.NoOffsetForPartitionError(tp)" in inspect.getsource(Fetcher._update_fetch_positions)
    assert "return drained" in inspect.getsource(
        Fetcher.fetched_records
    )  # other partitions' records are not lost by it
    assert "del self._records[tp]" in inspect.getsource(Fetcher.seek_to)
    assert inspect.iscoroutinefunction(driver.AIOKafkaConsumerThread._fetch_records)
    assert callable(GroupCoordinator.request_rejoin)
