"""The page of targets in a real browser, with ten thousand of them, in light and in dark."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_pages import browser, luminance, opened
from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.kafka import KafkaPeer

__all__ = ["browser"]

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.slow]

TARGETS = 10_000
ROWS = "document.querySelectorAll('.job[data-job=many] tbody tr').length"


@pytest.fixture(scope="module")
def role(kafka: KafkaPeer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Headrace]:
    """A scraper with 10,000 targets behind a port where nobody listens; they are scraped over an hour."""
    folder: Path = tmp_path_factory.mktemp("many")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{held.getsockname()[1]}"
        groups = [
            {
                "targets": [nobody],
                "labels": {"__metrics_path__": f"/t/{n}", "pod": f"checkout-{n:05d}", "ns": f"ns-{n % 40}"},
            }
            for n in range(TARGETS)
        ]
        (folder / "targets.json").write_text(json.dumps(groups))
        drop = {"source_labels": ["pod"], "regex": "checkout-0000.", "action": "drop"}
        jobs = [
            {"job_name": "many", "file_sd_configs": [{"files": ["targets.json"]}], "relabel_configs": [drop]},
            {
                "job_name": "<b>few",
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "static_configs": [{"targets": [nobody]}],
            },
        ]
        file = folder / "headrace.yml"
        file.write_text(json.dumps({"global": {"scrape_interval": "1h"}, "scrape_configs": jobs}))
        with Headrace(
            "scrape", f"--config.file={file}", f"--kafka.brokers={kafka.brokers}", "--kafka.prefix=page."
        ) as started:
            started.wait_ready()
            wait_for("all targets", lambda: len(started.status().get("targets", ())) == TARGETS - 10 + 1)
            wait_for("a failed scrape", lambda: "connection refused" in started.get("/targets/rows?job=%3Cb%3Efew")[1])
            yield started
            assert started.stop() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ten_thousand_targets_do_not_hang_the_page(browser: Browser, role: Headrace, scheme: str) -> None:
    page, wrong = opened(browser, role.web + "/targets", scheme)
    assert (luminance(page, "backgroundColor") > 0.5) == (scheme == "light")
    page.wait_for_function(f"{ROWS} > 0")
    assert page.evaluate(ROWS) <= 100, "only what is looked at is fetched"
    assert "9\u2009990" in page.inner_text(".job[data-job=many] [data-counts]")
    page.wait_for_function("document.body.innerText.includes('10 dropped by relabelling')")
    for _ in range(3):
        before = page.evaluate(ROWS)
        page.evaluate("document.querySelector('.job[data-job=many] .more').scrollIntoView()")
        page.wait_for_function(f"{ROWS} > {before}")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not wrong
    page.close()


def test_a_target_among_ten_thousand_is_found(browser: Browser, role: Headrace) -> None:
    page, wrong = opened(browser, role.web + "/targets", "light")
    page.wait_for_function(f"{ROWS} > 0")
    page.fill("[name=search]", 'pod="checkout-04711"')
    page.wait_for_function(f"{ROWS} == 1")
    assert "/t/4711" in page.inner_text(".job[data-job=many] tbody")
    page.wait_for_function("document.querySelector('.job[data-job=\"<b>few\"]').innerText.includes('no targets')")
    page.click(".job[data-job=many] tbody summary")
    assert '__metrics_path__="/t/4711"' in page.inner_text(".job[data-job=many] tbody")
    page.reload()
    page.wait_for_function(f"{ROWS} == 1")  # the question stands in the address
    assert not wrong
    page.close()


def test_only_what_is_unhealthy_and_why(browser: Browser, role: Headrace) -> None:
    page, wrong = opened(browser, role.web + "/targets", "dark")
    page.wait_for_function(f"{ROWS} > 0")
    for box in ("up", "unknown"):
        page.uncheck(f"[name=state][value={box}]")
    page.wait_for_function("document.body.innerText.includes('connection refused')")
    assert page.inner_text('.job[data-job="<b>few"] b') == "<b>few"
    page.click("#unhealthy")
    page.wait_for_function(f"{ROWS} > 0")
    assert "state=down%2Cunknown" in page.url
    page.click("#fold")
    page.wait_for_function("document.querySelector('#fold').textContent == 'expand all'")
    assert not page.is_visible(".job[data-job=many] tbody")
    assert not wrong
    page.close()


def test_the_page_stays_fresh_and_what_is_open_stays_open(browser: Browser, role: Headrace) -> None:
    page, wrong = opened(browser, role.web + "/targets?search=few", "light")
    page.wait_for_function("document.querySelectorAll('tbody tr').length == 1")
    page.click("tbody summary")
    page.evaluate("document.querySelector('tbody tr').stamp = 1")
    page.wait_for_function("!document.querySelector('tbody tr').stamp", timeout=60_000)
    assert page.evaluate("document.querySelector('tbody details').open") is True
    assert not wrong
    page.close()
