"""Every way in which log files are rotated, under load: one tailer's process, the real Kafka, a writer for each way.

What can be known is promised: nothing lost, nothing repeated, in order. What nobody can know, bytes that were gone
before anybody looked, does not happen here: whoever truncates waits until the tailer is level. What is known to be gone
unread is counted to the byte.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from tests.support.process import Headrace, wait_for
from tests.support.tail_runs import Writer, acked, arguments, begin, read_up, verdict
from tests.support.topic_lines import lines_in
from topics.definitions import TopicNames

if TYPE_CHECKING:
    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROTATE_LINES = 1500
ROTATIONS = 4
STAMP = "2026-11-21T10:00:00.{:09d}Z stdout F "


class Renamed(Writer):
    """The old file gets another name, a new one is there at the first line; of the old ones a few are kept."""


class Created(Writer):
    """logrotate's `create`: the new file is there at once, with a mode of its own, and stays empty for a while."""

    def _rotate(self, out: TextIO) -> TextIO:
        out = super()._rotate(out)
        self.path.chmod(0o640)
        time.sleep(0.3)
        return out


class Late(Writer):
    """logrotate's `nocreate`: for a while there is no file of that name."""

    def _open(self) -> TextIO:
        if self.rotations or self.may_rotate.is_set():
            time.sleep(0.4)
        return super()._open()


class Shifted(Writer):
    """logrotate's numbers: `.1` becomes `.2`, whatever was `.3` goes; so an old file's name is another one's soon."""

    def _rotate(self, out: TextIO) -> TextIO:
        out.close()
        names = [self.path, *(self.path.with_name(f"0.log.{number}") for number in (1, 2, 3))]
        for older, newer in reversed(list(zip(names[1:], names, strict=False))):
            if newer.exists():
                newer.replace(older)
        return self._open()


class Compressed(Writer):
    """The old file is compressed at once, and is there as .gz only, be it read or not."""

    def _rotate(self, out: TextIO) -> TextIO:
        out.close()
        aside = self.path.with_name(f"{self.path.name}.{time.time_ns()}")
        self.path.rename(aside)
        out = self._open()
        compress(aside)
        return out


class Kubelet(Writer):
    """`/var/log/pods/<ns>_<pod>_<uid>/<container>/0.log` as the kubelet has it, a link to the runtime's file: that file
    is renamed, and older ones are compressed; or the container is another one, and the link is pointed at its file.
    """

    def __init__(self, path: Path, **options: int) -> None:
        super().__init__(path, **options)
        self._runtime = path.parents[2] / "runtime"
        self._runtime.mkdir(exist_ok=True)
        self._containers = 0

    def _open(self) -> TextIO:
        if not self.path.exists():
            self._point(self._runtime / "0.log")
        return self.path.open("a")

    def _point(self, real: Path) -> None:
        link = self.path.with_name("new link")
        real.touch()
        link.symlink_to(real)
        link.replace(self.path)

    def _rotate(self, out: TextIO) -> TextIO:
        out.close()
        if self.rotations % 2:
            self._containers += 1
            self._point(self._runtime / f"{self._containers}.log")
            return self.path.open("a")
        real = self.path.resolve()
        for plain in self._old:
            compress(plain)
        aside = real.with_name(f"{real.name}.20261121-{time.time_ns()}")
        real.rename(aside)
        self._old = [aside]
        real.touch()
        return self.path.open("a")


class Copied(Writer):
    """`copytruncate`: the file is copied and emptied, and its writer goes on. Logrotate loses what comes in between;
    here nothing does, and the tailer has been level just before.
    """

    level: Callable[[Path], bool]

    def _rotate(self, out: TextIO) -> TextIO:
        out.flush()
        wait_for(f"{self.path} to be read", lambda: self.level(self.path))
        shutil.copy(self.path, self.path.with_name("0.log.1"))
        os.truncate(self.path, 0)
        return out


class Regrown(Copied):
    """The same, and before anybody looks the file is larger than it was."""

    def _rotate(self, out: TextIO) -> TextIO:
        out.flush()
        size = self.path.stat().st_size
        with (self.path.parent / "burst").open("w+") as burst:
            while burst.tell() < size + 1000:
                self._line(burst)
            burst.seek(0)
            text = burst.read()
        out = super()._rotate(out)
        out.write(text)
        out.flush()
        return out


class Deleted(Writer):
    """The file is removed, its writer goes on for a while, and then begins a new one."""

    def _rotate(self, out: TextIO) -> TextIO:
        self.path.unlink()
        for _ in range(500):
            self._line(out)
        out.close()
        return self._open()


WAYS = (Renamed, Created, Late, Shifted, Compressed, Kubelet, Copied, Regrown, Deleted)


def compress(plain: Path) -> None:
    """As gzip does it: the compressed file under a passing name, then under its own, then the plain one goes."""
    made = plain.with_name(f"{plain.name}.tmp")
    made.write_bytes(gzip.compress(plain.read_bytes(), 1))
    made.rename(plain.with_name(f"{plain.name}.gz"))
    plain.unlink()


def metric(process: Headrace, name: str) -> float:
    """The sum of a metric over its labels."""
    page = process.get("/metrics")[1]
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.MULTILINE))


class Run:
    """What is left of the run that all ways share."""

    def __init__(self, kafka: KafkaPeer, prefix: str, writers: dict[type[Writer], Writer]) -> None:
        self.kafka, self.prefix, self.writers = kafka, prefix, writers
        self.lost_bytes = self.truncations = 0.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, kafka: KafkaPeer) -> Run:
    """All writers at once, until each has rotated several times; the tailer has stopped then."""
    folder = tmp_path_factory.mktemp("rotations")
    prefix = "rotations."
    writers = {
        way: way(folder / "pods" / f"ns_{way.__name__}_uid" / "0.log", rotate_lines=ROTATE_LINES) for way in WAYS
    }
    made = Run(kafka, prefix, writers)
    with Headrace(*arguments(folder, folder / "pods", kafka, prefix)) as tailer:

        def level(path: Path) -> bool:
            (one,) = [one for one in tailer.status()["files"] if one["path"] == str(path)]
            return bool(one["position"] == path.stat().st_size and not one["lag_bytes"])

        Copied.level = staticmethod(level)
        begin(tailer, list(writers.values()))
        wait_for(
            "the rotations",
            lambda: all(one.rotations >= ROTATIONS or one.error for one in writers.values()),
            timeout_s=120,
        )
        for writer in writers.values():
            writer.stop()
        wait_for("everything", read_up(tailer))
        made.lost_bytes = metric(tailer, "headrace_tail_lost_bytes_total")
        made.truncations = metric(tailer, "headrace_tail_truncations_total")
        assert tailer.stop() == 0
    return made


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.lower())
async def test_no_line_is_lost_or_repeated_or_out_of_order(run: Run, way: type[Writer]) -> None:
    writer = run.writers[way]
    assert writer.written > ROTATIONS * ROTATE_LINES
    assert await verdict(run.kafka, run.prefix, [writer]) == 0


def test_only_what_was_truncated_is_called_so_and_nothing_is_called_lost(run: Run) -> None:
    assert run.lost_bytes == 0
    assert run.truncations == sum(run.writers[way].rotations for way in (Copied, Regrown))


def lines(first: int, end: int) -> str:
    """Numbered lines of one second."""
    return "".join(f"{STAMP.format(number)}{number:09d} {'x' * 80}\n" for number in range(first, end))


def pod_log(folder: Path, text: str) -> Path:
    path = folder / "pods" / "ns_pod_uid" / "0.log"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


async def numbers_in(kafka: KafkaPeer, prefix: str, path: Path) -> list[int]:
    found = await lines_in(kafka.brokers, TopicNames(prefix).logs)
    return [int(line.split(" ")[0]) for line in found[str(path)]]


def goes_on(_path: Path) -> None:
    """Nothing happens to it."""


def renamed(path: Path) -> None:
    path.rename(path.with_name("0.log.1"))


def compressed(path: Path) -> None:
    renamed(path)
    compress(path.with_name("0.log.1"))


def renamed_twice(path: Path) -> None:
    renamed(path)
    path.write_text(lines(3000, 4000))
    path.with_name("0.log.1").rename(path.with_name("0.log.2"))
    renamed(path)


@pytest.mark.parametrize("change", [goes_on, renamed, compressed, renamed_twice])
async def test_what_happens_to_a_file_while_the_tailer_is_down_loses_nothing(
    tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str, change: Callable[[Path], None]
) -> None:
    path = pod_log(tmp_path, lines(0, 2000))
    with Headrace(*arguments(tmp_path, tmp_path / "pods", kafka, kafka_prefix)) as tailer:
        tailer.wait_ready()
        wait_for("some lines", lambda: acked(tailer) >= 2000)
        tailer.kill9()
        with path.open("a") as out:
            out.write(lines(2000, 3000))
        change(path)
        with path.open("a") as out:
            out.write(lines(4000 if change is renamed_twice else 3000, 5000))
        tailer.start()
        tailer.wait_ready()
        wait_for("everything", lambda: acked(tailer) >= 3000 and read_up(tailer)())
        assert metric(tailer, "headrace_tail_lost_bytes_total") == 0
        assert tailer.stop() == 0
    assert await numbers_in(kafka, kafka_prefix, path) == list(range(5000))


async def test_a_file_replaced_by_a_larger_one_while_the_tailer_is_down_is_read_from_its_beginning(
    tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str
) -> None:
    path = pod_log(tmp_path, lines(0, 2000))
    with Headrace(*arguments(tmp_path, tmp_path / "pods", kafka, kafka_prefix)) as tailer:
        tailer.wait_ready()
        wait_for("the first", lambda: acked(tailer) >= 2000)
        tailer.kill9()
        path.write_text(lines(2000, 5000))  # the same inode, emptied and written anew
        tailer.start()
        tailer.wait_ready()
        wait_for("the rest", read_up(tailer))
        assert metric(tailer, "headrace_tail_truncations_total") == 1
        assert metric(tailer, "headrace_tail_lost_bytes_total") == 0
        assert tailer.stop() == 0
    assert await numbers_in(kafka, kafka_prefix, path) == list(range(5000))


async def test_what_is_truncated_unread_while_kafka_is_away_is_counted_to_the_byte_and_named(
    tmp_path: Path, private_kafka: KafkaPeer, kafka_prefix: str
) -> None:
    """Rounds in flight are eight mebibytes; the rest of the file is its own buffer, and somebody empties it."""
    path = pod_log(tmp_path, lines(0, 2000))
    with Headrace(*arguments(tmp_path, tmp_path / "pods", private_kafka, kafka_prefix)) as tailer:
        tailer.wait_ready()
        wait_for("some lines", lambda: acked(tailer) >= 2000)
        private_kafka.freeze()
        with path.open("a") as out:
            out.write(lines(2000, 200_000))
        size = path.stat().st_size
        (known,) = wait_for("the tailer to see it", lambda: [one for one in files(tailer) if one["size"] == size])
        assert known["lag_bytes"] > 0
        path.write_text(lines(200_000, 201_000))
        wait_for("the tailer to see that", lambda: metric(tailer, "headrace_tail_truncations_total") == 1)
        private_kafka.thaw()
        wait_for("everything", read_up(tailer))
        gone_bytes = metric(tailer, "headrace_tail_lost_bytes_total")
        assert tailer.stop() == 0
    assert f"{path} was truncated" in tailer.log_text
    found = await numbers_in(private_kafka, kafka_prefix, path)
    kept = len(found) - 1000
    assert found == [*range(kept), *range(200_000, 201_000)]  # each once, in order; the end of the former file is gone
    assert 2000 < kept < 200_000
    assert gone_bytes == (200_000 - kept) * (size / 200_000)


def files(process: Headrace) -> list[dict[str, Any]]:
    """The files as the status shows them."""
    found: list[dict[str, Any]] = process.status().get("files", [])
    return found
