"""Python's search for garbage in a process that holds much for long.

A full search looks at every object there is: with thousands of targets it stops everything for so long that scrapes are
late, and finds nothing, since almost all of what we let go of is freed at once by counting references. So what one
search has found alive the next ones pass over; now and then, all is searched again.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.clock import Clock

SEARCH_ALL_EVERY_S = 600.0
_ALL = 2  # the oldest generation: a search of it is a full one


class Garbage:
    """What the collector is told. `searched` is called by it, before and after each search."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all_again_s = clock.monotonic() + SEARCH_ALL_EVERY_S

    def searched(self, phase: str, info: Mapping[str, int]) -> None:
        """A callback of `gc.callbacks`."""
        if info["generation"] != _ALL:
            return
        if phase == "stop":
            gc.freeze()
        elif self._clock.monotonic() >= self._all_again_s:
            self._all_again_s = self._clock.monotonic() + SEARCH_ALL_EVERY_S
            gc.unfreeze()


@contextmanager
def seldom_searched(clock: Clock) -> Iterator[None]:
    """Within: full searches pass over what one before has found alive, and once in ten minutes over nothing."""
    callback = Garbage(clock).searched
    gc.callbacks.append(callback)
    try:
        yield
    finally:
        gc.callbacks.remove(callback)
        gc.unfreeze()


@contextmanager
def left_alone() -> Iterator[None]:
    """Within, nothing is searched, and what is there at the end no search ever looks at: for imports, which stay.

    Searching them costs a tenth of the start, a tenth of a second at each full search, and a third of one at the exit.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
