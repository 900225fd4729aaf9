"""Log lines: logfmt as Prometheus writes it, or JSON; one line an event, to stderr.

Owns the form of a line and which loggers speak. Modules do `logging.getLogger(__name__)` and pass `%s` arguments.
As a last line of defence, credentials in URLs and authorization values are masked here; callers must not log them.
"""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Literal, TextIO

from pipeline.telemetry.outlet import Outlet, OutletHandler
from pipeline.telemetry.repeats import Expected, Repeats

LEVELS = ("debug", "info", "warn", "error")
FORMATS = ("logfmt", "json")

_NUMBERS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_WORDS = {logging.WARNING: "WARN", logging.CRITICAL: "ERROR"}
# Their INFO is our DEBUG: partitions assigned, sessions joined, every service of a Faust app starting.
_TALKATIVE = ("aiokafka", "aiohttp", "asyncio", "faust", "mode", "kafka", "urllib3", "jgo")
_URL_CREDENTIALS = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s\"'@]*@")
_AUTHORIZATION = re.compile(r"\b(?P<scheme>[Bb]earer|[Bb]asic)\s+[A-Za-z0-9._~+/=-]{6,}")
_PLAIN = re.compile(r"[^\s=\"\\\x00-\x1f\x7f]+")


def masked(text: str) -> str:
    """`text` with user:password@ of URLs and the value of Bearer/Basic authorizations replaced by ``<secret>``."""
    if "://" in text:
        text = _URL_CREDENTIALS.sub(r"\g<scheme><secret>@", text)
    if "earer " in text or "asic " in text:
        text = _AUTHORIZATION.sub(r"\g<scheme> <secret>", text)
    return text


class _Formatter(logging.Formatter):
    """The fields of a line, in order; subclasses write them down."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        seconds = int(record.created)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        fields = {
            "time": f"{stamp}.{int((record.created - seconds) * 1000):03d}Z",
            "level": _WORDS.get(record.levelno, record.levelname),
            "component": self._component,
            "msg": masked(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = masked(self.formatException(record.exc_info))
        return fields


class Logfmt(_Formatter):
    """``time=… level=INFO component=scraper msg="…"``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        return " ".join(f"{key}={_logfmt_value(value)}" for key, value in self.fields(record).items())


class Json(_Formatter):
    """The same fields as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        return json.dumps(self.fields(record), ensure_ascii=False)


def setup(level: str, fmt: Literal["logfmt", "json"] | str, role: str, *, stream: TextIO | None = None) -> Outlet:
    """Send every logger of this process to `stream`, or to the outlet that is returned: stderr, never blocking.

    `level` is one of LEVELS; the libraries below us speak from WARN up unless it is debug. `role` becomes
    ``component=``. Calling it again replaces the former set-up.
    """
    outlet = Outlet()
    handler = logging.StreamHandler(stream) if stream is not None else OutletHandler(outlet)
    if level.lower() != "debug":
        handler.addFilter(_no_chatter)
        handler.addFilter(Expected())
        handler.addFilter(Repeats(_TALKATIVE))
    handler.setFormatter(Json(role) if fmt == "json" else Logfmt(role))
    number = _NUMBERS[level.lower()]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(number if number == logging.DEBUG else max(number, logging.WARNING))
    # The access log would be one line a scrape of ourselves.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a closed stderr must not end the process, nor fill it with tracebacks
    return outlet


def _no_chatter(record: logging.LogRecord) -> bool:
    """Faust announces each step of a service at INFO, as if our own module said it where we subclass one."""
    return record.levelno > logging.INFO or not str(record.msg).startswith("[^")


def _logfmt_value(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
