"""The tailer's process and the real Kafka, broken on purpose: no line is lost, repeats are bounded, order is kept."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.kafka import KafkaPeer
from tests.support.process import Headrace, wait_for
from tests.support.topic_lines import first_comings, lines_in
from topics.definitions import TopicNames

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KILLS = int(os.environ.get("HEADRACE_KILLS", "8"))  # `make kills` asks for 50
LARGE_BYTES = int(os.environ.get("HEADRACE_LARGE_BYTES", "300_000_000"))
MIB = 1024**2

PROMTAIL = """
scrape_configs:
  - job_name: pods
    pipeline_stages: [{{cri: {{}}}}]
    static_configs:
      - labels: {{app: test, __path__: "{folder}/*/*.log"}}
"""


class Writer:
    """Writes numbered CRI lines to one path, rotating it by rename as the kubelet does, in a thread of its own."""

    def __init__(self, path: Path, *, rotate_lines: int = 5000, keep: int = 4) -> None:
        self.path = path
        self.written = 0
        self._rotate_lines = rotate_lines
        self._keep = keep
        self.may_rotate = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._old: list[Path] = []
        path.parent.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> int:
        """Stop writing; how many lines there were."""
        self._stop.set()
        self._thread.join()
        return self.written

    def _run(self) -> None:
        out = self.path.open("a")
        chance = random.Random(str(self.path))
        rotate_at = self._rotate_lines
        while not self._stop.wait(0.01):
            for _ in range(chance.randrange(1, 60)):
                self._line(out)
            out.flush()
            if self.written >= rotate_at and self.may_rotate.is_set():
                rotate_at = self.written + self._rotate_lines
                out.close()
                self._rotate()
                out = self.path.open("a")
        out.close()

    def _line(self, out) -> None:
        seconds, nanos = divmod(time.time_ns(), 10**9)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanos:09d}Z"
        text = f"{self.written:09d} {'x' * (self.written % 200)}"
        if self.written % 50 == 0:
            out.write(f"{stamp} stdout P {text[:5]}\n{stamp} stdout F {text[5:]}\n")
        else:
            out.write(f"{stamp} stdout F {text}\n")
        self.written += 1

    def _rotate(self) -> None:
        aside = self.path.with_name(f"{self.path.name}.{time.time_ns()}")
        self.path.rename(aside)
        self._old.append(aside)
        if len(self._old) > self._keep:
            self._old.pop(0).unlink()


@pytest.fixture
def pods(tmp_path: Path) -> Path:
    folder = tmp_path / "pods"
    folder.mkdir()
    return folder


@pytest.fixture
def tailer(tmp_path: Path, pods: Path, kafka: KafkaPeer, kafka_prefix: str) -> Iterator[Headrace]:
    with Headrace(*arguments(tmp_path, pods, kafka, kafka_prefix)) as process:
        yield process


def arguments(tmp_path: Path, pods: Path, kafka: KafkaPeer, prefix: str) -> list[str]:
    (tmp_path / "headrace.yml").write_text("topics: {partitions: 4}\n")
    (tmp_path / "promtail.yml").write_text(PROMTAIL.format(folder=pods))
    return [
        "tail",
        f"--config.file={tmp_path / 'headrace.yml'}",
        f"--promtail.config-file={tmp_path / 'promtail.yml'}",
        f"--kafka.brokers={kafka.brokers}",
        f"--kafka.prefix={prefix}",
        f"--storage.path={tmp_path / 'storage'}",
        f"--node.name={prefix}node",
    ]


def read_up(process: Headrace) -> Callable[[], bool]:
    """Whether everything in the files is acknowledged."""

    def check() -> bool:
        files = process.status().get("files", [])
        sizes = [Path(one["path"]).stat().st_size for one in files]
        return (
            bool(files) and [one["position"] for one in files] == sizes and not any(one["lag_bytes"] for one in files)
        )

    return check


def acked(process: Headrace) -> float:
    """Lines that Kafka has acknowledged to this process."""
    found = re.search(r"^headrace_tail_acked_lines_total (\S+)$", process.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


def begin(process: Headrace, writers: list[Writer]) -> None:
    """Start writing; let files be rotated when the tailer follows every path. It cannot know of what was before."""
    process.wait_ready()
    for writer in writers:
        writer.start()
    paths = {str(writer.path) for writer in writers}
    wait_for("the files to be known", lambda: paths <= {one["path"] for one in process.status().get("files", [])})
    for writer in writers:
        writer.may_rotate.set()


async def verdict(kafka: KafkaPeer, prefix: str, writers: list[Writer]) -> int:
    """Every line of every writer is in the topic, in order of first coming. Returns the repeats."""
    found = await lines_in(kafka.brokers, TopicNames(prefix).logs)
    repeats = 0
    for writer in writers:
        lines, repeated = first_comings([line.split(" ")[0] for line in found[str(writer.path)]])
        assert lines == [f"{number:09d}" for number in range(writer.written)]
        repeats += repeated
    return repeats


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
