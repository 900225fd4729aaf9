"""The pages as a reader sees them, in a real browser: what they say, in light and in dark, fresh without a reload."""

from __future__ import annotations

import os
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_run import Run, Sink, config, wait_for_more
from tests.support.numbered import NumberedTarget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make setup")

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        reason = "Debian's chromium is not installed: make setup"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with playwright.sync_playwright() as player:
        # No sandbox: it needs user namespaces, which containers seldom have; the pages are our own.
        launched = player.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run with a target that is up, one that is down, a backend that works and one that is dead."""
    folder: Path = tmp_path_factory.mktemp("pages")
    with NumberedTarget() as target, Sink(folder, "sink") as sink, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{held.getsockname()[1]}"
        made = config(target, good=sink.url, dead=f"http://{nobody}/<b>api")
        made["scrape_configs"].append({"job_name": "gone", "static_configs": [{"targets": [nobody]}]})
        with Run(folder, made) as started:
            started.wait_ready()
            wait_for_more(sink, target)
            yield started
            assert started.stop() == 0


def opened(browser: Browser, url: str, scheme: str) -> tuple[Page, list[str]]:
    """The page and the list that collects what goes wrong in it, or is fetched from elsewhere."""
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1200, "height": 900})  # type: ignore[arg-type]
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith(url[:17]) else wrong.append(request.url))
    page.goto(url)
    return page, wrong


def luminance(page: Page, what: str) -> float:
    """Relative luminance (WCAG 2.2) of a colour of <body>, 0 to 1."""
    colour = page.evaluate(f"getComputedStyle(document.body)['{what}']")
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/targets", "/ledger"])
def test_a_page_follows_the_readers_colours_and_fits_the_window(
    browser: Browser, run: Run, path: str, scheme: str
) -> None:
    page, wrong = opened(browser, run.web + path, scheme)
    ground, text = luminance(page, "backgroundColor"), luminance(page, "color")
    assert (ground > 0.5) == (scheme == "light")
    lighter, darker = max(ground, text), min(ground, text)
    assert (lighter + 0.05) / (darker + 0.05) > 7, "WCAG AAA contrast of plain text"
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "wide tables scroll inside their own box"
    assert not wrong
    page.close()


def test_the_run_page_tells_the_whole_story(browser: Browser, run: Run) -> None:
    page, wrong = opened(browser, run.web, "light")
    assert page.title() == "headrace run: ready"
    text = page.inner_text("main")
    for part in ("scraper", "agent:good", "agent:dead", "1 of 2 up", "connection refused", "embedded"):
        assert part in text, part
    assert "retrying" in page.inner_text('[id="backend-dead"]')
    assert "%3Cb%3Eapi" in page.inner_html("main")
    assert not wrong
    page.close()


def test_the_page_stays_fresh_without_a_reload(browser: Browser, run: Run) -> None:
    page, wrong = opened(browser, run.web, "light")
    page.evaluate("window.kept = true")
    delivered = "document.querySelectorAll('main table')[2].rows[1].cells[2].textContent"
    before = page.evaluate(delivered)
    page.wait_for_function(f"{delivered} !== {before!r}", timeout=60_000)
    assert page.evaluate("window.kept") is True
    assert not wrong
    page.close()


def test_the_targets_page_shows_each_target_and_why_it_is_down(browser: Browser, run: Run) -> None:
    page, wrong = opened(browser, run.web + "/targets", "light")
    for part in ("numbers", "gone", "connection refused"):
        page.wait_for_function("part => document.body.innerText.toLowerCase().includes(part)", arg=part)
    assert not wrong
    page.close()
