"""Which paths are followed: globs against the disk, followers started and ended, who has which file."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from pipeline.tail import paths
from pipeline.tail.batch import Batch, Release
from pipeline.tail.claims import Claims
from pipeline.tail.decoders import Decoders
from pipeline.tail.follower import PathFollower
from pipeline.tail.leaving import Leaving
from pipeline.tail.streams import PathStreams
from pipeline.tail.watching import Watcher
from topics.errors import InvalidLabels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.clock import Clock
    from pipeline.tail.journal import Journal
    from pipeline.tail.lines import Decoder
    from pipeline.tail.metrics import TailMetrics
    from pipeline.tail.options import TailOptions
    from pipeline.tail.reader import FileReader
    from pipeline.tail.rounds import Ready
    from pipeline.tail.targets import LogTarget

log = logging.getLogger(__name__)

FILENAME = "filename"
_MISSED = 1000
_CLOCK_GRAIN_NS = 20_000_000  # the time of a file may lag behind ours by a tick of the kernel

Place = tuple[str, str]
"""Job and path: what a follower is known by."""


class Followers:
    """All of them, by place."""

    def __init__(
        self, journal: Journal, ready: Ready, *, metrics: TailMetrics, clock: Clock, options: TailOptions
    ) -> None:
        self._journal = journal
        self._ready = ready
        self._metrics = metrics
        self._clock = clock
        self._options = options
        self._decoders = Decoders(metrics, clock, options)
        self._targets: tuple[LogTarget, ...] = ()
        self._leaving = Leaving(2 * options.rotate_wait_s)
        self._followers: dict[Place, PathFollower] = {}
        self._scanned_ns = None if journal.since_ns is None else journal.since_ns - _CLOCK_GRAIN_NS
        self._fresh: set[LogTarget] = set()
        self._watcher = Watcher()
        self._missed: set[Place] = set()
        self.claims = Claims()
        self.orphans = Batch()
        self.troubles: dict[Place, str] = {}
        self.scanned = False

    def __iter__(self) -> Iterator[PathFollower]:
        return iter(tuple(self._followers.values()))

    def __len__(self) -> int:
        return len(self._followers)

    def apply(self, targets: Sequence[LogTarget]) -> None:
        """Follow these from the next scan on. A path whose labels changed goes on where it was, under the new ones;
        files that nobody wants any more are read to their end first.
        """
        self._leaving.change(self._targets, targets)
        self._fresh = set(targets) - set(self._targets) if self.scanned else set()
        self._targets = tuple(targets)

    @property
    def watcher(self) -> Watcher:
        """What tells of new names; `notice` is to be called when it has something."""
        return self._watcher

    # --- looking for paths -------------------------------------------------------------------------------------------

    async def scan(self) -> None:
        """Match the globs against the disk; start and end followers."""
        wanted_ones = self._targets
        self._leaving.settle(self._followers.values(), self._clock.monotonic())
        targets = wanted_ones + self._leaving.targets
        begin_ns = int(self._clock.now() * 1e9) - _CLOCK_GRAIN_NS
        self._watcher.watch(await asyncio.to_thread(_folders, targets))  # first: nothing comes in between unseen
        found = await asyncio.to_thread(_find_all, targets)
        if wanted_ones is not self._targets:
            return  # reloaded meanwhile
        wanted: dict[Place, LogTarget] = {}
        troubles: dict[Place, str] = {}
        for target, matched in zip(targets, found, strict=True):
            if isinstance(matched, str):
                troubles[(target.job, target.path)] = matched
                continue
            for path in matched:
                wanted.setdefault((target.job, path), target)
        self._end_unwanted(set(targets), wanted)
        for place, target in wanted.items():
            if place not in self._followers:
                trouble = self._start(place, target)
                if trouble:
                    troubles[place] = trouble
        self._say_new(troubles)
        self._scanned_ns = begin_ns
        self._fresh.clear()
        self.scanned = True

    def _end_unwanted(self, kept: set[LogTarget], wanted: dict[Place, LogTarget]) -> None:
        for place, follower in tuple(self._followers.items()):
            target = follower.target
            if target not in kept or wanted.get(place, target) != target:
                self._end(follower)

    def _say_new(self, troubles: dict[Place, str]) -> None:
        for place, why in troubles.items():
            if self.troubles.get(place) != why:
                log.warning("%s (job %s): %s", place[1], place[0], why)
        for place in self.troubles:
            if place not in troubles:
                log.info("%s (job %s): readable now", place[1], place[0])
        self.troubles = troubles

    # --- beginning and end -------------------------------------------------------------------------------------------

    def notice(self) -> bool:
        """Take what the kernel tells. True: look at everything, for it had too much to tell."""
        notices, overflow = self._watcher.read()
        moves: dict[int, str] = {}
        for one in notices:
            self._poll(one.path)
            if not one.came:
                moves[one.cookie] = one.path
            elif one.is_folder:
                self._enter(one.path)
            else:
                self._came(one.path, moves.get(one.cookie, "") if one.cookie else "")
        return overflow

    def _poll(self, path: str) -> None:
        """Something happened to this name."""
        for job in dict.fromkeys(target.job for target in self._targets):
            follower = self._followers.get((job, path))
            if follower is not None and not follower.finished and follower.poll(self._clock.monotonic()):
                self._ready.add(follower)

    def _enter(self, folder: str) -> None:
        """A new folder: what is in it may have come before the watch on it."""
        if not any(paths.may_lead(target, folder) for target in self._targets):
            return
        self._watcher.add(folder)
        try:
            with os.scandir(folder) as entries:
                found = [(entry.path, entry.is_dir()) for entry in entries]
        except OSError:
            return  # gone again, or not ours to read: the scan says so
        for path, is_folder in found:
            if is_folder:
                self._enter(path)
            else:
                self._came(path, "")

    def _came(self, path: str, before: str) -> None:
        """A name is there now; `before`: which one it was, if it was moved in the same breath."""
        for target in self._targets:
            if before and (target.job, before) in self._missed:
                self._missed.discard((target.job, before))
                self._begin((target.job, before), target, path)
            elif (target.job, path) not in self._followers and paths.matches(target, path):
                self._begin((target.job, path), target, None)

    def _begin(self, place: Place, target: LogTarget, at: str | None) -> None:
        trouble = self._start(place, target, at)
        if place in self._followers:
            self._poll(place[1])
        elif not trouble:
            self._missed.add(place)  # it is gone already: should it turn up under another name, it is read there
        if len(self._missed) > _MISSED:
            self._missed.clear()

    def _start(self, place: Place, target: LogTarget, at: str | None = None) -> str:
        """Follow a path from now on; `at`: under which name its file is now, if the path is another's already.

        Returns why not, empty for started, gone or being read under another name.
        """
        try:
            if self._too_young(place[1], target):
                return ""
            follower = self._made(place, target)
            # A path that was not there at the last look, or in our last life, may have been rotated away since.
            since_ns = None if target in self._fresh else self._scanned_ns
            started = follower.start(self._clock.monotonic(), since_ns=since_ns, at=at)
        except FileNotFoundError:
            return ""
        except OSError as error:
            self._metrics.file_errors.labels(type(error).__name__).inc()
            return error.strerror or str(error)
        except (InvalidLabels, UnicodeEncodeError) as error:
            self._metrics.file_errors.labels(type(error).__name__).inc()
            return str(error)
        if started:
            self._followers[place] = follower
        return ""

    def _too_young(self, path: str, target: LogTarget) -> bool:
        """Whether a file may still be being compressed. Raises OSError."""
        wanted = target.decompression
        if wanted is None or not wanted.initial_delay_s:
            return False
        return self._clock.now() - os.stat(path).st_mtime < wanted.initial_delay_s

    def _made(self, place: Place, target: LogTarget) -> PathFollower:
        job, path = place
        streams = PathStreams(dict(target.labels) | {FILENAME: path}, self._journal.partitions)

        def decoder() -> Decoder:
            return self._decoders.of(target, streams)

        follower = PathFollower(
            job,
            path,
            streams,
            decoder,
            journal=self._journal,
            claims=self.claims,
            metrics=self._metrics,
            options=self._options,
            wanted=target.decompression,
        )
        follower.target = target
        return follower

    def _end(self, follower: PathFollower) -> None:
        """End a follower. Its files are free for another one once everything that it read is committed."""
        self.retire(follower)
        self.orphans.released += [Release(follower, reader) for reader in follower.close()]
        self._ready.some.set()

    def retire(self, follower: PathFollower) -> None:
        """It has finished: its path is no more."""
        del self._followers[follower.job, follower.path]
        self._ready.drop(follower)

    def close(self) -> None:
        """Close every file. Positions stay as they are."""
        for follower in self._followers.values():
            follower.close()
        self._followers.clear()
        self._watcher.close()

    # --- files that were given away ----------------------------------------------------------------------------------

    def take_orphans(self) -> Batch:
        """What ended followers leave behind."""
        orphans, self.orphans = self.orphans, Batch()
        return orphans

    def release(self, releases: Sequence[Release]) -> None:
        """Everything that was read of these files is committed: they are nobody's any more."""
        for one in releases:
            one.reader.close()
        self.claims.release([one.reader.key for one in releases])

    def rewind(self, releases: Sequence[Release]) -> None:
        """All go back to what is committed. `releases`: files given away whose last positions may not be."""
        readers: dict[PathFollower, list[FileReader]] = {}
        for one in releases:
            if one.follower.closed or not self._takes_back(one.follower):
                self.release([one])
            else:
                readers.setdefault(one.follower, []).append(one.reader)
        for follower in self:
            follower.rewind(readers.get(follower, ()), self._clock.monotonic())
            self._ready.add(follower)

    def _takes_back(self, follower: PathFollower) -> bool:
        """A follower that had finished goes on, unless its path has another one by now."""
        place = (follower.job, follower.path)
        return self._followers.setdefault(place, follower) is follower


def _folders(targets: Sequence[LogTarget]) -> set[str]:
    return {folder for target in targets for folder in paths.folders(target)}


def _find_all(targets: Sequence[LogTarget]) -> list[list[str] | str]:
    """For each target its paths, or why it can have none."""
    return [paths.find(target) or paths.unreadable(target) or [] for target in targets]
