"""The form of a log line."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import TYPE_CHECKING

import pytest

from pipeline.telemetry.logging import masked, setup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raises
    logging.captureWarnings(capture=False)


def lines(fmt: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    setup(level, fmt, "scraper", stream=stream)
    return stream


def test_logfmt_is_prometheuss_form() -> None:
    stream = lines("logfmt")
    logging.getLogger("pipeline.x").warning("disk is %d%% full", 93)
    assert re.fullmatch(
        r'time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=WARN component=scraper msg="disk is 93% full"\n',
        stream.getvalue(),
    )


@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("ready", "msg=ready"),
        ("a b", 'msg="a b"'),
        ("a=b", 'msg="a=b"'),
        ('say "x"', r'msg="say \"x\""'),
        ("two\nlines", r'msg="two\nlines"'),
        ("", 'msg=""'),
        ("größe 9 µs", 'msg="größe 9 µs"'),
        ("\x1b[31m", r'msg="\u001b[31m"'),
    ],
)
def test_a_logfmt_value_is_quoted_when_it_must(message: str, written: str) -> None:
    stream = lines("logfmt")
    logging.getLogger("x").info(message)
    assert stream.getvalue().endswith(f" {written}\n")


def test_json_has_the_same_fields() -> None:
    stream = lines("json")
    logging.getLogger("x").error("two\nlines")
    fields = json.loads(stream.getvalue())
    assert list(fields) == ["time", "level", "component", "msg"]
    assert fields["msg"] == "two\nlines"
    assert fields["level"] == "ERROR"


@pytest.mark.parametrize("fmt", ["logfmt", "json"])
def test_a_traceback_stays_in_its_line(fmt: str) -> None:
    stream = lines(fmt)
    try:
        int("what")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert stream.getvalue().count("\n") == 1
    assert "ValueError: invalid literal" in stream.getvalue()


def test_libraries_speak_from_warn_up() -> None:
    stream = lines("logfmt")
    logging.getLogger("aiokafka.consumer").info("assigned")
    logging.getLogger("pipeline.x").debug("detail")
    assert stream.getvalue() == ""
    logging.getLogger("aiokafka.consumer").warning("lost")
    assert "lost" in stream.getvalue()
    stream = lines("logfmt", "debug")
    logging.getLogger("aiokafka.consumer").info("assigned")
    assert "assigned" in stream.getvalue()


def test_a_service_that_announces_its_steps_is_heard_at_debug_only() -> None:
    stream = lines("logfmt")
    logging.getLogger("agents.consumer.app").info("[^-%s]: Starting...", "AgentApp")
    assert stream.getvalue() == ""
    logging.getLogger("agents.consumer.app").warning("[^-%s]: crashed", "AgentApp")
    assert "crashed" in stream.getvalue()
    stream = lines("logfmt", "debug")
    logging.getLogger("agents.consumer.app").info("[^-%s]: Starting...", "AgentApp")
    assert "Starting" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("POST https://me:hunter2@host/api: 500", "POST https://<secret>@host/api: 500"),
        ("POST https://token@host/api", "POST https://<secret>@host/api"),
        ("https://host/a@b", "https://host/a@b"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer <secret>"),
        ("basic dXNlcjpwYXNz", "basic <secret>"),
        ("the bearer of news", "the bearer of news"),
    ],
)
def test_credentials_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize("fmt", ["logfmt", "json"])
def test_credentials_are_masked_in_a_message(fmt: str) -> None:
    stream = lines(fmt)
    logging.getLogger("x").warning("POST %s: 500", "https://me:hunter2@host/")
    assert "POST https://<secret>@host/: 500" in stream.getvalue()


def test_credentials_are_masked_in_a_traceback() -> None:
    stream = lines("logfmt")
    try:
        int("https://me:hunter2@host/")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "hunter2" not in stream.getvalue()
