"""Lines that nobody reads do not stop who writes them."""

from __future__ import annotations

import logging
import os
import re
import threading
from typing import TYPE_CHECKING

import pytest

from pipeline.telemetry.outlet import Outlet, OutletHandler

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def read_all(reader: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(reader, size - len(data))
    return data


def test_lines_come_in_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    outlet = Outlet(writer)
    for number in range(100):
        outlet.write(b"line %d\n" % number)
    outlet.drain(30)
    expected = b"".join(b"line %d\n" % number for number in range(100))
    assert read_all(reader, len(expected)) == expected
    os.close(writer)


def test_a_reader_that_sleeps_stops_nobody_and_is_told_what_it_missed(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    outlet = Outlet(writer, bound_bytes=200_000)
    line = b"x" * 99 + b"\n"
    for _ in range(4000):  # 400 kB: far more than the pipe and the outlet hold
        outlet.write(line)
    received: list[bytes] = []
    finished = threading.Event()

    def read() -> None:
        while b"end\n" not in b"".join(received[-2:]):
            received.append(os.read(reader, 65536))
        finished.set()

    thread = threading.Thread(target=read)
    thread.start()
    outlet.drain(30)
    outlet.write(b"end\n")
    assert finished.wait(30)
    thread.join()
    os.close(writer)
    lines = b"".join(received).splitlines()
    kept = lines.count(line.rstrip())
    notes = [one for one in lines if one.startswith(b"headrace: ")]  # several, if the pipe was filled meanwhile
    dropped = [
        int(re.fullmatch(rb"headrace: (\d+) log lines were dropped here: nobody reads them", one)[1]) for one in notes
    ]
    assert dropped
    assert sum(dropped) == 4000 - kept
    assert kept >= 2000
    assert lines[-1] == b"end"
    assert len(lines) == kept + len(notes) + 1


def test_a_closed_reader_is_survived() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    outlet = Outlet(writer)
    outlet.write(b"x\n")
    outlet.drain(30)
    outlet.write(b"y\n")
    outlet.drain(30)
    os.close(writer)


def test_closing_the_handler_writes_what_waits(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = OutletHandler(Outlet(writer))
    handler.emit(logging.makeLogRecord({"msg": "last words"}))
    handler.close()
    assert read_all(reader, 11) == b"last words\n"
    os.close(writer)
