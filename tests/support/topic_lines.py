"""What stands in a logs topic: every line, in order, read back from Kafka record by record."""

from __future__ import annotations

from collections import defaultdict

from aiokafka import AIOKafkaConsumer

from topics import compression, labels, push_request

PATIENCE_MS = 500


async def lines_in(brokers: str, topic: str) -> dict[str, list[str]]:
    """All committed lines of the topic by `filename` (a label or metadata), in the order of their partition, up to the
    end as it is now.
    """
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    raw = AIOKafkaConsumer(topic, bootstrap_servers=brokers)
    await raw.start()
    await consumer.start()
    try:
        partitions = list(consumer.assignment())  # without a group: all of them
        ends = await raw.end_offsets(partitions)  # beyond what is committed: waits for open transactions to end
        left = {one for one in partitions if ends[one]}
        found: dict[str, list[str]] = defaultdict(list)
        while left:
            for records in (await consumer.getmany(*left, timeout_ms=PATIENCE_MS)).values():
                for record in records:
                    _add(found, compression.decompress(record.value))
            left = {one for one in left if await consumer.position(one) < ends[one]}
        return dict(found)
    finally:
        await raw.stop()
        await consumer.stop()


def _add(found: dict[str, list[str]], body: bytes) -> None:
    for raw in push_request.split(body):
        name = dict(labels.parse_text(push_request.labels_of(raw).decode())).get("filename")
        entries = [push_request.decode_entry(entry) for entry in push_request.entries_of(raw)]
        if name is not None:
            found[name] += [entry.line for entry in entries]
        else:
            for entry in entries:
                found[dict(entry.metadata)["filename"]].append(entry.line)


def first_comings(lines: list[str]) -> tuple[list[str], int]:
    """The lines without their repeats, in the order in which each came first; and how many repeats there were."""
    unique = list(dict.fromkeys(lines))
    return unique, len(lines) - len(unique)
