"""HTML pages from templates: one layout, light and dark, nothing fetched from elsewhere."""

from __future__ import annotations

import time
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    import jinja2


def page(template: str, **context: Any) -> web.Response:
    """Render `template`, a file of `pipeline/web/templates` that extends ``base.html.j2``. All text is escaped."""
    return web.Response(text=rendered(template, **context), content_type="text/html", charset="utf-8")


def rendered(template: str, **context: Any) -> str:
    """The same as text, also for a part of a page."""
    return _environment().get_template(template).render(**context, now=time.time())


def static(name: str) -> web.Response:
    """A script of `pipeline/web/static`, as it is."""
    return web.Response(text=_static(name), content_type="text/javascript", charset="utf-8")


@cache
def _static(name: str) -> str:
    return files("pipeline.web").joinpath("static", name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # noqa: PLC0415 — two megabytes, for nothing while nobody looks at a page

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["count"] = count
    environment.filters["size"] = size
    environment.filters["span"] = span
    environment.filters["moment"] = moment
    return environment


def count(value: float) -> str:
    """A number with thousands apart: ``1 234 567`` (thin spaces)."""
    return f"{value:,.0f}".replace(",", "\u2009")


def size(value_bytes: float) -> str:
    """Bytes for people: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value_bytes) < 1024:
            return f"{value_bytes:.0f} {unit}" if unit == "B" else f"{value_bytes:.1f} {unit}"
        value_bytes /= 1024
    return f"{value_bytes:.1f} TiB"


def moment(at_s: float) -> str:
    """A point in time for people, in UTC: ``2026-11-21 14:03:07 UTC``."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_s))


def span(value_s: float) -> str:
    """A duration for people, two units at most: ``2h 5m``."""
    rest = max(0, int(value_s))
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, rest = divmod(rest, length)
        if amount or (unit == "s" and not parts):
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2])
