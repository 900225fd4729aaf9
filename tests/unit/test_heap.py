from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from pipeline.heap import EVERY_S, LARGE_BYTES, Heap
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
