"""A cache of Kafka's classes, parsed and linked: with it the broker starts in half the time and half the CPU.

Java makes such a cache (JEP 483, 514) from one run of the program, at its end. That run is made once, in a folder of
its own, before the first start after the installation. Without a cache everything works, a second or so slower.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import shutil
from typing import TYPE_CHECKING

from topics.errors import BrokerFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.devbroker.install import Installation

log = logging.getLogger(__name__)

_QUIET = ("-Xlog:aot*=off,cds*=off", "--sun-misc-unsafe-memory-access=allow")
_MAKE_S = 120.0


def use(cache: Path) -> tuple[str, ...]:
    """Java's flags for a start with the cache; one that does not fit is ignored by Java."""
    return (f"-XX:AOTCache={cache}", *_QUIET)


async def ensure(installation: Installation, cache_dir: Path) -> Path | None:
    """The cache for this installation, made at the first time; None when there can be none. Never raises for that.

    Takes some ten seconds at the first time. While another process makes it, this one does without.
    """
    if not installation.bundled:
        return None  # a java of which we do not know what it can do
    cache = cache_dir / f"headrace-kafka-{_digest(installation)}.aot"
    failed = cache.with_suffix(".failed")
    if cache.exists() or failed.exists():
        return cache if cache.exists() else None
    with _alone(cache.with_suffix(".lock")) as alone:
        if not alone:
            return None
        if not cache.exists():
            try:
                await _make(installation, cache)
            except (BrokerFailed, OSError) as error:
                log.warning("Kafka will start a little slower, its class cache cannot be made: %s", error)
                failed.write_text(f"{error}\nDelete this file to try again.\n")
    return cache if cache.exists() else None


def _digest(installation: Installation) -> str:
    version = (installation.java.parent.parent / "release").read_bytes()
    parts = [str(installation.java).encode(), version, installation.classpath.encode()]
    return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


async def _make(installation: Installation, cache: Path) -> None:
    """One run of the broker that writes the cache when it ends. Raises BrokerFailed, or OSError when there is none."""
    from pipeline.devbroker.server import EmbeddedKafka  # noqa: PLC0415 — the server's start asks for the cache

    log.info("preparing Kafka for quick starts, this one time: about ten seconds")
    folder = cache.with_suffix(".making")
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)  # of a run that was killed
    fresh = folder / "fresh.aot"
    try:
        broker = EmbeddedKafka(folder, installation=installation, java_flags=(f"-XX:AOTCacheOutput={fresh}", *_QUIET))
        await broker.start()
        await broker.stop(_MAKE_S)
        fresh.replace(cache)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
