"""What is known of metric families: type, help and unit, as heard from the stream. Bounded in bytes.

Two targets may describe one family in two ways. All ways that are still heard of are kept, as Prometheus sends them
all in 1.0; the one that was new last is what series are described with in 2.0, and hearing an older one again does not
change that: two versions of a service side by side do not take turns.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topics import metadata, write_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.clock import Clock

MOST_BYTES = 16 * 1024 * 1024
_ENTRY_BYTES = 400  # what an entry takes beside its bytes

About = tuple[int, str, str]
"""Type (the number of MetricMetadata.MetricType), help and unit."""


@dataclass(slots=True, eq=False)
class Heard:
    """One way to describe one family.

    `raw`: a MetricMetadata message; times are monotonic seconds: when it was heard last, heard where we speak for it,
    and sent to the backend by itself.
    """

    tenant: str
    family: str
    about: About
    raw: bytes
    heard_s: float
    home_s: float = float("-inf")
    sent_s: float = float("-inf")


class Families:
    """Not safe for threads; never waits. `version` changes whenever `about` may answer otherwise than before."""

    def __init__(self, clock: Clock, *, most_bytes: int = MOST_BYTES) -> None:
        self.version = 0
        self._clock = clock
        self._most_bytes = most_bytes
        self._bytes = 0
        self._heard: OrderedDict[tuple[str, bytes], Heard] = OrderedDict()
        self._current: dict[str, Heard] = {}
        self._forget_s = metadata.forget_s(1)

    def hear(self, body: bytes, *, tenant: str = "", place: tuple[int, int] | None = None) -> None:
        """Take the metadata of a decoded WriteRequest. Raises CorruptMessage for what is none.

        `place`: partition and count of partitions, of a record whose like is in every partition.
        """
        now_s = self._clock.monotonic()
        if place is not None:
            self._forget_s = metadata.forget_s(place[1])
        for raw in write_request.split_metadata(body):
            heard = self._heard.get((tenant, raw)) or self._add(tenant, raw)
            heard.heard_s = now_s
            if place is None or metadata.home(heard.family, place[1]) == place[0]:
                heard.home_s = now_s
            self._heard.move_to_end((tenant, raw))
        while self._bytes > self._most_bytes:
            self._remove(next(iter(self._heard.values())))

    def about(self, family: str) -> About | None:
        """How a family's series are to be described. What a tenant says of its own is told to nobody else."""
        current = self._current.get(family)
        return current.about if current is not None else None

    def ours(self) -> Iterator[Heard]:
        """What is still heard of, as far as we are to speak for it. Forgets the rest."""
        before_s = self._clock.monotonic() - self._forget_s
        for heard in list(self._heard.values()):
            if heard.heard_s < before_s:
                self._remove(heard)
            elif heard.home_s >= before_s:
                yield heard

    def _add(self, tenant: str, raw: bytes) -> Heard:
        family, *_ = about = write_request.decode_metadata(raw)
        heard = self._heard[tenant, raw] = Heard(tenant, family, about[1:], raw, 0.0)
        self._bytes += len(raw) + _ENTRY_BYTES
        if not tenant:
            self._current[family] = heard
            self.version += 1
        return heard

    def _remove(self, heard: Heard) -> None:
        del self._heard[heard.tenant, heard.raw]
        self._bytes -= len(heard.raw) + _ENTRY_BYTES
        if self._current.get(heard.family) is not heard:
            return
        self.version += 1
        others = [one for one in self._heard.values() if one.family == heard.family and not one.tenant]
        if others:
            self._current[heard.family] = others[-1]
        else:
            del self._current[heard.family]
