"""Targets in JSON and YAML files, read again when they change.

Changes are seen by looking at each file's identity, size and time once a second: that works on every file system,
swapped symbolic links (ConfigMap volumes) and network mounts included. A file that cannot be read keeps the targets it
had, and says so once.
"""

from __future__ import annotations

import asyncio
import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.config.yaml_tree import read_tree
from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.groups import groups_of
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config.sd.file import FileSDConfig
    from pipeline.discovery.discoverer import Publish, Surroundings

LOOK_S = 1.0
_FILEPATH = "__meta_filepath"
_Signature = tuple[int, int, int]


def discoverer(settings: FileSDConfig, around: Surroundings) -> FileDiscovery:
    """One entry of `file_sd_configs`."""
    return FileDiscovery(settings, around)


class FileDiscovery:
    """One entry of `file_sd_configs`."""

    def __init__(self, config: FileSDConfig, around: Surroundings) -> None:
        self._patterns = tuple(str(name) for name in config.files)
        self._refresh_s = config.refresh_interval
        self._clock = around.clock
        self._trouble = around.trouble
        self._read: dict[str, _Signature | None] = {}
        self._sources: dict[str, list[str]] = {}

    async def run(self, publish: Publish) -> None:
        """Publish what the files hold now, then every change, until cancelled. Everything is read again at each
        `refresh_interval`, changed or not.
        """
        refresh_at = self._clock.monotonic() + self._refresh_s
        publish(await self._look())
        while True:
            await self._clock.sleep(min(LOOK_S, self._refresh_s))
            if self._clock.monotonic() >= refresh_at:
                refresh_at = self._clock.monotonic() + self._refresh_s
                self._read.clear()
            changed = await self._look()
            if changed:
                publish(changed)

    async def _look(self) -> list[TargetGroup]:
        """In a thread: a disk may be slow, and ten thousand groups of YAML take seconds."""
        return await asyncio.to_thread(lambda: list(self.look()))

    def look(self) -> Iterator[TargetGroup]:
        """The groups of files that are new or changed, and empty ones for what is gone."""
        present = {path: _signature(path) for pattern in self._patterns for path in sorted(glob.glob(pattern))}
        for path, signature in present.items():
            if signature is not None and self._read.get(path) == signature:
                continue
            try:
                groups = list(read_groups(path))
            except DiscoveryFailed as error:
                self._trouble.failed(str(error), about=path)
            else:
                self._trouble.over(about=path)
                yield from self._replace(path, groups)
            self._read[path] = signature
        for path in [path for path in self._sources if path not in present]:
            self._read.pop(path, None)
            yield from self._replace(path, [])
            del self._sources[path]
            self._trouble.over(about=path)

    def _replace(self, path: str, groups: list[TargetGroup]) -> Iterator[TargetGroup]:
        sources = [group.source for group in groups]
        for gone in self._sources.get(path, ()):
            if gone not in sources:
                yield TargetGroup(gone, (), {})
        self._sources[path] = sources
        yield from groups


def read_groups(path: str) -> Iterator[TargetGroup]:
    """The groups of one file. Raises DiscoveryFailed."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DiscoveryFailed(f"{path} cannot be read: {error}") from None
    yield from groups_of(_parse(path, text), path, source=path, more={_FILEPATH: path})


def _parse(path: str, text: str) -> Any:
    if path.lower().endswith(".json"):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise DiscoveryFailed(f"{path}: not JSON: {error}") from None
    tree = read_tree(text, path)
    if tree.problems:
        raise DiscoveryFailed(str(tree.problems[0]))
    return tree.data


def _signature(path: str) -> _Signature | None:
    """What changes when a file is replaced or rewritten; None when it cannot be told."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
