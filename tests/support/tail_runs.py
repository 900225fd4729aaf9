"""A tailer's process and those who write its files: numbered CRI lines, rotations, and what reached the topic."""

from __future__ import annotations

import random
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tests.support.process import Headrace, wait_for
from tests.support.topic_lines import first_comings, lines_in
from topics.definitions import TopicNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kafka import KafkaPeer

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
        self.rotations = 0
        self.error: BaseException | None = None
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
        assert self.error is None, f"{self.path}: {self.error!r}"
        return self.written

    def _run(self) -> None:
        try:
            self._write()
        except BaseException as error:  # noqa: BLE001 — a thread has nobody to tell but `stop`
            self.error = error

    def _write(self) -> None:
        out = self._open()
        chance = random.Random(str(self.path))
        rotate_at = self._rotate_lines
        while not self._stop.wait(0.01):
            for _ in range(chance.randrange(1, 60)):
                self._line(out)
            out.flush()
            if self.written >= rotate_at and self.may_rotate.is_set():
                out = self._rotate(out)
                self.rotations += 1
                rotate_at = self.written + self._rotate_lines
        out.close()

    def _open(self) -> TextIO:
        return self.path.open("a")

    def _line(self, out: TextIO) -> None:
        seconds, nanos = divmod(time.time_ns(), 10**9)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanos:09d}Z"
        text = f"{self.written:09d} {'x' * (self.written % 200)}"
        if self.written % 50 == 0:
            out.write(f"{stamp} stdout P {text[:5]}\n{stamp} stdout F {text[5:]}\n")
        else:
            out.write(f"{stamp} stdout F {text}\n")
        self.written += 1

    def _rotate(self, out: TextIO) -> TextIO:
        """What is written to from now on."""
        out.close()
        aside = self.path.with_name(f"{self.path.name}.{time.time_ns()}")
        self.path.rename(aside)
        self._old.append(aside)
        if len(self._old) > self._keep:
            self._old.pop(0).unlink()
        return self._open()


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
