"""What we rely on inside aiokafka 0.14: if one of these fails after an upgrade, read `sender.py` again."""

from __future__ import annotations

import inspect

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import LeaderNotAvailableError, MessageSizeTooLargeError, NotLeaderForPartitionError
from aiokafka.producer.message_accumulator import MessageAccumulator, MessageBatch
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.structs import TopicPartition

TP = TopicPartition("t", 0)


class Cluster:
    """Knows no leader."""

    def leader_for_partition(self, tp):
        return -1


async def _batch(ttl_s: float):
    accumulator = MessageAccumulator(Cluster(), 1000, 0, 0.0)
    accumulator._batch_ttl = ttl_s
    return accumulator, await accumulator.add_message(TP, None, b"value", 1.0)


async def test_without_a_leader_an_old_batch_fails_and_with_our_ttl_it_does_not():
    accumulator, future = await _batch(ttl_s=-1.0)
    accumulator.drain_by_nodes(set())
    assert isinstance(future.exception(), LeaderNotAvailableError | NotLeaderForPartitionError)

    accumulator, future = await _batch(ttl_s=float("inf"))
    accumulator.drain_by_nodes(set())
    assert not future.done()


async def test_the_ttl_is_where_the_sender_sets_it():
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", enable_idempotence=True)
    try:
        assert producer._message_accumulator._batch_ttl == pytest.approx(40.0)
        assert "_batch_ttl" in inspect.getsource(MessageAccumulator._append_batch)
    finally:
        await producer.stop()


async def test_idempotent_batches_are_retried_whatever_their_age():
    source = inspect.getsource(SendProduceReqHandler._can_retry)
    assert "self._sender._txn_manager is None and batch.expired()" in source


async def test_what_ends_a_client_is_where_the_sender_looks_for_it():
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", enable_idempotence=True)
    try:
        assert producer._sender.sender_task is None
        assert producer._closed is False
        assert callable(producer.client.close)
    finally:
        await producer.stop()


async def test_a_record_larger_than_the_request_limit_is_refused_before_it_has_a_sequence_number():
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", enable_idempotence=True, max_request_size=1000)
    try:
        with pytest.raises(MessageSizeTooLargeError):
            producer._serialize(None, bytes(2000), [])
        source = inspect.getsource(AIOKafkaProducer.send)
        assert source.index("self._serialize(") < source.index("add_message(")
    finally:
        await producer.stop()


async def test_a_full_batch_takes_no_more_and_one_record_always_fits():
    accumulator = MessageAccumulator(Cluster(), 100, 0, 10.0)
    batch = MessageBatch(TP, accumulator.create_builder(), 10.0, 0.0)
    assert batch.append(None, bytes(5000), None) is not None
    assert batch.append(None, bytes(10), None) is None
