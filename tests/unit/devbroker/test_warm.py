"""The class cache: made once, for our own java only, and never in the way."""

from __future__ import annotations

import fcntl

import pytest

from pipeline.devbroker import server, warm
from pipeline.devbroker.install import Installation
from topics.errors import BrokerFailed


class FakeBroker:
    """Writes the cache at its end, as java does."""

    made = 0
    error: Exception | None = None

    def __init__(self, folder, *, installation, java_flags):
        (output,) = [flag for flag in java_flags if flag.startswith("-XX:AOTCacheOutput=")]
        self._folder = folder
        self._output = output.partition("=")[2]

    async def start(self) -> None:
        if FakeBroker.error:
            raise FakeBroker.error
        self._folder.mkdir()

    async def stop(self, deadline_s: float) -> None:
        FakeBroker.made += 1
        with open(self._output, "w") as file:
            file.write("classes")


@pytest.fixture(autouse=True)
def _fake(monkeypatch):
    monkeypatch.setattr(server, "EmbeddedKafka", FakeBroker)
    monkeypatch.setattr(FakeBroker, "made", 0)
    monkeypatch.setattr(FakeBroker, "error", None)


@pytest.fixture
def installation(tmp_path) -> Installation:
    java = tmp_path / "jre" / "bin" / "java"
    java.parent.mkdir(parents=True)
    (tmp_path / "jre" / "release").write_text("25")
    return Installation(java, (), bundled=True)


async def test_it_is_made_once_and_nothing_else_is_left(installation, tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    cache = await warm.ensure(installation, folder)
    assert cache is not None
    assert cache.read_text() == "classes"
    assert await warm.ensure(installation, folder) == cache
    assert FakeBroker.made == 1
    assert {file.suffix for file in folder.iterdir()} == {".aot", ".lock"}
    assert warm.use(cache)[0] == f"-XX:AOTCache={cache}"


async def test_another_java_or_other_jars_have_a_cache_of_their_own(installation, tmp_path):
    first = await warm.ensure(installation, tmp_path)
    (tmp_path / "jre" / "release").write_text("26")
    second = await warm.ensure(installation, tmp_path)
    third = await warm.ensure(Installation(installation.java, (tmp_path / "a.jar",), bundled=True), tmp_path)
    assert len({first, second, third}) == 3


async def test_a_java_of_the_users_own_gets_none(installation, tmp_path):
    assert await warm.ensure(Installation(installation.java, (), bundled=False), tmp_path) is None
    assert FakeBroker.made == 0


async def test_a_failure_is_said_once_and_not_tried_again(installation, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(FakeBroker, "error", BrokerFailed("no memory"))
    assert await warm.ensure(installation, tmp_path) is None
    assert "no memory" in caplog.text
    monkeypatch.setattr(FakeBroker, "error", None)
    assert await warm.ensure(installation, tmp_path) is None
    (failed,) = tmp_path.glob("*.failed")
    failed.unlink()
    assert await warm.ensure(installation, tmp_path) is not None


async def test_while_another_process_makes_it_one_goes_without(installation, tmp_path):
    cache = await warm.ensure(installation, tmp_path)
    assert cache is not None
    cache.unlink()
    with cache.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert await warm.ensure(installation, tmp_path) is None
    assert FakeBroker.made == 1
