from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.heap import EVERY_S, LARGE_BYTES, Heap, share_one
from tests.support.fakes import FakeClock


def test_it_works_with_the_c_library_of_this_machine() -> None:
    Heap(FakeClock()).give_back()


def test_a_c_library_without_it_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    Heap(FakeClock()).give_back()


def test_memory_goes_back_now_and_then_after_large_things(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=calls.append))
    clock = FakeClock()
    heap = Heap(clock)
    heap.used(LARGE_BYTES)
    assert calls == []
    clock.advance(EVERY_S)
    heap.used(LARGE_BYTES - 1)
    assert calls == []
    heap.used(LARGE_BYTES)
    heap.used(LARGE_BYTES)
    assert calls == [0]


def test_threads_are_told_to_share_one_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *args: calls.append(args)))
    share_one()
    assert calls == [(-8, 1)]
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    share_one()


_PROBE = """
import ctypes, threading
from pathlib import Path
from pipeline.heap import share_one
{share}
libc = ctypes.CDLL(None)
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
libc.fclose.argtypes = [ctypes.c_void_p]
thread = threading.Thread(target=libc.malloc, args=(1000,))
thread.start()
thread.join()
file = ctypes.c_void_p(libc.fopen({path!r}.encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(Path({path!r}).read_text().count("<heap nr="))
"""


@pytest.mark.parametrize(("share", "shared"), [("", False), ("share_one()", True)])
def test_the_c_library_does_as_it_is_told(share: str, shared: bool, tmp_path: Path) -> None:
    code = _PROBE.format(share=share, path=str(tmp_path / "info"))
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (int(done.stdout) == 1) is shared
