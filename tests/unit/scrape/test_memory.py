from __future__ import annotations

import ctypes

import pytest

from pipeline.scrape.memory import Heap


def test_giving_back_is_harmless() -> None:
    Heap().give_back()


def test_a_c_library_without_it_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    Heap().give_back()
