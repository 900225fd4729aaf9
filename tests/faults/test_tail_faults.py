"""The tailer's process and the real Kafka, broken on purpose: no line is lost, repeats are bounded, order is kept."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.kafka import KafkaPeer
from tests.support.mounts import with_mounts
from tests.support.process import Headrace, wait_for
from tests.support.tail_runs import Writer, acked, arguments, begin, read_up, verdict
from tests.support.topic_lines import lines_in
from topics.definitions import TopicNames

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KILLS = int(os.environ.get("HEADRACE_KILLS", "8"))  # `make kills` asks for 50
LARGE_BYTES = int(os.environ.get("HEADRACE_LARGE_BYTES", "300_000_000"))
MIB = 1024**2


@pytest.fixture
def pods(tmp_path: Path) -> Path:
    folder = tmp_path / "pods"
    folder.mkdir()
    return folder


@pytest.fixture
def tailer(tmp_path: Path, pods: Path, kafka: KafkaPeer, kafka_prefix: str) -> Iterator[Headrace]:
    with Headrace(*arguments(tmp_path, pods, kafka, kafka_prefix)) as process:
        yield process


async def test_rotation_under_load_loses_nothing_repeats_nothing_and_keeps_the_order(
    tailer: Headrace, pods: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    writers = [Writer(pods / f"ns_pod-{n}_uid" / "0.log") for n in range(3)]
    begin(tailer, writers)
    wait_for("many lines", lambda: all(writer.written > 30_000 for writer in writers))
    for writer in writers:
        writer.stop()
    wait_for("everything", read_up(tailer))
    assert tailer.stop() == 0
    assert await verdict(kafka, kafka_prefix, writers) == 0


async def test_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(
    tailer: Headrace, pods: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    writers = [Writer(pods / f"ns_pod-{n}_uid" / "0.log", keep=10**6) for n in range(3)]
    begin(tailer, writers)
    chance = random.Random(3)
    for number in range(KILLS):
        if number % 3:
            wait_for("lines through this process", lambda: acked(tailer) > 0)
            time.sleep(chance.uniform(0, 0.5))  # the moment of the kill is the experiment
        else:
            time.sleep(chance.uniform(0, 3.0))  # perhaps while it still opens its journal
        tailer.kill9()
        tailer.start()
    for writer in writers:
        writer.stop()
    tailer.wait_ready()
    wait_for("everything", read_up(tailer))
    assert tailer.stop() == 0
    repeats = await verdict(kafka, kafka_prefix, writers)
    print(f"{sum(writer.written for writer in writers)} lines, {KILLS} kills, 0 lost, {repeats} repeated")
    assert repeats == 0


async def test_kafka_away_for_a_while_loses_nothing_and_the_tailer_keeps_rotated_files(
    tmp_path: Path, pods: Path, private_kafka: KafkaPeer, kafka_prefix: str
) -> None:
    writers = [Writer(pods / f"ns_pod-{n}_uid" / "0.log", rotate_lines=2000, keep=1) for n in range(2)]
    with Headrace(*arguments(tmp_path, pods, private_kafka, kafka_prefix)) as tailer:
        begin(tailer, writers)
        await private_kafka.akill9()
        at = writers[0].written
        wait_for("rotations without Kafka", lambda: writers[0].written > at + 10_000)
        await private_kafka.astart()
        for writer in writers:
            writer.stop()
        wait_for("everything", read_up(tailer))
        assert tailer.stop() == 0
    assert await verdict(private_kafka, kafka_prefix, writers) == 0


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
async def test_an_end_while_kafka_is_away_is_quick_and_loses_nothing(
    tmp_path: Path, pods: Path, private_kafka: KafkaPeer, kafka_prefix: str, end: str
) -> None:
    writer = Writer(pods / "ns_pod_uid" / "0.log", keep=10**6)
    with Headrace(*arguments(tmp_path, pods, private_kafka, kafka_prefix)) as tailer:
        begin(tailer, [writer])
        await private_kafka.akill9()
        at = writer.written
        wait_for("lines without Kafka", lambda: writer.written > at + 1000)
        if end == "SIGKILL":
            tailer.kill9()
        else:
            start_s = time.monotonic()
            assert tailer.stop() == 0, tailer.log_text
            assert time.monotonic() - start_s < 20
        await private_kafka.astart()
        tailer.start()
        tailer.wait_ready()
        writer.stop()
        wait_for("everything", read_up(tailer))
        assert tailer.stop() == 0
    await verdict(private_kafka, kafka_prefix, [writer])


async def test_a_tailer_that_slept_beyond_the_transaction_timeout_goes_on_without_repeating(
    tailer: Headrace, pods: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    writer = Writer(pods / "ns_pod_uid" / "0.log", keep=10**6)
    begin(tailer, [writer])
    wait_for("lines", lambda: acked(tailer) > 1000)
    for sleep_s in (0.1, 13.0):  # 13 s: the broker has ended the transaction, if one was open
        tailer.signal(signal.SIGSTOP)
        time.sleep(sleep_s)  # the length of the sleep is the experiment
        tailer.signal(signal.SIGCONT)
        before = acked(tailer)
        wait_for("more lines", lambda least=before + 500: acked(tailer) > least)
    writer.stop()
    wait_for("everything", read_up(tailer))
    assert tailer.stop() == 0
    assert await verdict(kafka, kafka_prefix, [writer]) == 0


async def test_of_two_tailers_with_one_name_the_older_ends_and_each_line_is_there_once(
    tmp_path: Path, tailer: Headrace, pods: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    writer = Writer(pods / "ns_pod_uid" / "0.log", keep=10**6)
    begin(tailer, [writer])
    wait_for("lines", lambda: acked(tailer) > 1000)
    with Headrace(*arguments(tmp_path, pods, kafka, kafka_prefix)) as younger:
        younger.wait_ready()
        assert tailer.wait() == 1
        assert "another tailer writes as node" in tailer.log_text
        assert f"process {younger.pid}" in tailer.log_text
        wait_for("lines of the younger", lambda: acked(younger) > 1000)
        writer.stop()
        wait_for("everything", read_up(younger))
        assert younger.stop() == 0
        assert "another tailer" not in younger.log_text
    assert await verdict(kafka, kafka_prefix, [writer]) == 0


async def test_a_storage_folder_that_nobody_can_write_is_no_matter(
    tmp_path: Path, pods: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    writer = Writer(pods / "ns_pod_uid" / "0.log")
    nowhere = "--storage.path=/proc/headrace"  # no folder can be made there, nor anything written
    with Headrace(*arguments(tmp_path, pods, kafka, kafka_prefix), nowhere) as tailer:
        begin(tailer, [writer])
        wait_for("lines", lambda: acked(tailer) > 1000)
        writer.stop()
        wait_for("everything", read_up(tailer))
        assert tailer.stop() == 0
    assert await verdict(kafka, kafka_prefix, [writer]) == 0


# A disk of 64 KiB at $0, full.
_FULL_DISK = 'mount -t tmpfs -o size=64k none "$0" && cat /dev/zero > "$0/filler" 2>/dev/null; exec "$@"'


def on_a_full_disk(storage: Path) -> tuple[str, ...]:
    """For `Headrace(argv=…)`."""
    storage.mkdir()
    return (*with_mounts(_FULL_DISK, str(storage)), sys.executable, "-P", "-m", "pipeline.cli")


async def test_a_full_disk_under_the_storage_folder_is_no_matter(
    tmp_path: Path, pods: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    writer = Writer(pods / "ns_pod_uid" / "0.log")
    disk = on_a_full_disk(tmp_path / "storage")
    with Headrace(*arguments(tmp_path, pods, kafka, kafka_prefix), argv=disk) as tailer:
        begin(tailer, [writer])
        wait_for("lines", lambda: acked(tailer) > 1000)
        with pytest.raises(OSError, match="No space left"):  # it is full, and stays so
            Path(f"/proc/{tailer.pid}/root{tmp_path}/storage/trial").write_bytes(b"x" * 10_000)
        writer.stop()
        wait_for("everything", read_up(tailer))
        assert tailer.stop() == 0, tailer.log_text
    assert await verdict(kafka, kafka_prefix, [writer]) == 0


async def test_positions_in_a_file_on_a_full_disk_are_said_to_be_unsaved_and_saved_when_there_is_room(
    tmp_path: Path, pods: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    writer = Writer(pods / "ns_pod_uid" / "0.log")
    disk = on_a_full_disk(tmp_path / "storage")
    flags = arguments(tmp_path, pods, kafka, kafka_prefix)
    (tmp_path / "headrace.yml").write_text("{topics: {partitions: 4}, kafka: {transactions: false}}")
    with Headrace(*flags, argv=disk) as tailer:
        begin(tailer, [writer])
        wait_for("the words", lambda: "is not saved: [Errno 28] No space left on device" in tailer.log_text)
        at = acked(tailer)
        wait_for("lines all the same", lambda: acked(tailer) > at + 1000)
        seen = Path(f"/proc/{tailer.pid}/root{tmp_path}/storage")
        (seen / "filler").unlink()
        wait_for("the words", lambda: "is saved again" in tailer.log_text)
        writer.stop()
        wait_for("everything", read_up(tailer))
        wait_for("the position", lambda: f'"offset":{writer.path.stat().st_size},' in text_of(seen))
        assert tailer.stop() == 0, tailer.log_text
    assert await verdict(kafka, kafka_prefix, [writer]) == 0


def text_of(storage: Path) -> str:
    """What the files of a folder hold."""
    return "\n".join(one.read_text(errors="replace") for one in storage.rglob("*positions*") if one.is_file())


async def test_lines_of_a_mebibyte_arrive_whole(
    tmp_path: Path, pods: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    path = pods / "ns_pod_uid" / "0.log"
    path.parent.mkdir()
    chance = random.Random(5)
    stamp = "2026-11-21T10:00:00.000000001Z stdout F "
    bodies = [f"{number:09d} {chance.randbytes(MIB // 2 - 100).hex()}" for number in range(12)]
    path.write_text("".join(f"{stamp}{body}\n" for body in bodies))
    with Headrace(*arguments(tmp_path, pods, kafka, kafka_prefix)) as tailer:
        tailer.wait_ready()
        wait_for("everything", read_up(tailer))
        assert tailer.stop() == 0
    found = await lines_in(kafka.brokers, TopicNames(kafka_prefix).logs)
    assert found == {str(path): bodies}


async def test_a_large_file_at_the_first_start_is_read_in_bounded_memory_and_progress_is_said(
    tmp_path: Path, pods: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    path = pods / "ns_pod_uid" / "0.log"
    path.parent.mkdir()
    lines = LARGE_BYTES // 525
    with path.open("w") as out:
        for number in range(lines):
            out.write(f"2026-11-21T10:00:00.000000001Z stdout F {number:09d} {'x' * 474}\n")
    with Headrace(*arguments(tmp_path, pods, kafka, kafka_prefix)) as tailer:
        tailer.wait_ready()
        wait_for("everything", read_up(tailer), timeout_s=600)
        peak = psutil.Process(tailer.pid).memory_info().rss
        spent_s = sum(psutil.Process(tailer.pid).cpu_times()[:2])
        assert acked(tailer) == lines
        assert tailer.stop() == 0
    print(
        f"{path.stat().st_size / 1e9:.2f} GB, RSS {peak / 1e6:.0f} MB, {path.stat().st_size / 1e6 / spent_s:.0f} MB/s"
    )
    assert peak < 150e6
    if LARGE_BYTES > 10**9:
        assert re.search(r"0\.log: \d+ of \d+ MB read, \d+ MB/s", tailer.log_text)
