from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from pipeline.lifecycle.garbage import SEARCH_ALL_EVERY_S, left_alone, seldom_searched
from tests.support.fakes import FakeClock


class Knot:
    """An object that holds itself: only a search frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.collect()


def test_what_a_search_has_found_alive_is_passed_over_by_the_next() -> None:
    with seldom_searched(FakeClock()):
        gc.collect()
        assert gc.get_freeze_count() > 1000
        assert len(gc.get_objects(generation=2)) < 100
    assert gc.get_freeze_count() == 0


def test_new_garbage_is_found_by_every_search() -> None:
    with seldom_searched(FakeClock()):
        gc.collect()
        gone = weakref.ref(Knot())
        gc.collect()
        assert gone() is None


def test_old_garbage_is_found_when_all_is_searched_again() -> None:
    clock = FakeClock()
    with seldom_searched(clock):
        old = Knot()
        gone = weakref.ref(old)
        gc.collect()
        del old
        gc.collect()
        assert gone() is not None, "it was frozen: else this test cannot fail"
        clock.advance(SEARCH_ALL_EVERY_S)
        gc.collect()
        assert gone() is None
        assert gc.get_freeze_count() > 1000


def test_what_is_left_alone_no_search_looks_at_and_what_comes_later_it_does() -> None:
    with left_alone():
        assert not gc.isenabled()
        kept = Knot()
        gone = weakref.ref(kept)
    assert gc.isenabled()
    del kept
    gc.collect()
    assert gone() is not None
    later = weakref.ref(Knot())
    gc.collect()
    assert later() is None


def test_searches_go_on_when_an_import_fails() -> None:
    with pytest.raises(ImportError), left_alone():
        raise ImportError
    assert gc.isenabled()
