"""`/service-discovery` as a reader sees it, in a real browser, with ten thousand targets behind it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pipeline.config.logs import LogScrapeConfig
from pipeline.config.scrape import ScrapeConfig
from pipeline.discovery.target_group import TargetGroup
from pipeline.roles.discovered_jobs import log_job, scrape_job
from pipeline.roles.discovery_page import DiscoveryPage
from tests.e2e.test_pages import browser, luminance, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

__all__ = ["browser"]

pytestmark = [pytest.mark.browser, pytest.mark.slow]

META = "__meta_kubernetes_"
RULES = (
    {"source_labels": (f"{META}pod_annotation_scrape",), "regex": "true", "action": "keep"},
    {"source_labels": (f"{META}namespace",), "target_label": "namespace"},
    {
        "source_labels": ("__address__",),
        "regex": "([^:]+):.*",
        "replacement": "$1:15020",
        "target_label": "__address__",
    },
    {"source_labels": ("none",), "regex": "x", "target_label": "y"},
    {"regex": f"{META}pod_label_(.+)", "action": "labelmap"},
    {"regex": "pod_uid", "action": "labeldrop"},
)
STATIC = ("h:1", "bad/host:2")
PODS = 10_000


def pod(index: int) -> TargetGroup:
    labels = {
        f"{META}namespace": f"team-{index % 20}",
        f"{META}pod_name": f"web-{index}",
        f"{META}pod_annotation_scrape": "true" if index % 4 else "false",
        f"{META}pod_label_app": "web",
        f"{META}pod_uid": f"{index:08x}-0000-4000-8000-000000000000",
        f"{META}pod_node_name": f"node-{index % 100}",
    }
    return TargetGroup(
        f"pod/{index}", ({"__address__": f"10.{index // 65536}.{index // 256 % 256}.{index % 256}:80"},), labels
    )


class Known:
    """What a discovery manager, or the log targets, know."""

    host = "node-1"

    def __init__(self) -> None:
        self.found = {
            "pods": [pod(index) for index in range(PODS)],
            "static": [TargetGroup("0", tuple({"__address__": one} for one in STATIC), {"env": "<b>prod</b>"})],
            "files": [TargetGroup("0", ({"__address__": "localhost"},), {"__path__": "/var/log/*.log", "app": "x"})],
        }

    def groups(self, job: str) -> list[TargetGroup]:
        return self.found[job]

    def troubles(self, job: str) -> list[str]:
        return ["kubernetes: https://api:6443: connection refused"] if job == "pods" else []


def jobs(known: Any) -> dict[str, Any]:
    pods = ScrapeConfig.model_validate({"job_name": "pods", "relabel_configs": RULES})
    static = ScrapeConfig.model_validate({"job_name": "static", "honor_labels": True})
    files = LogScrapeConfig.model_validate({"job_name": "files"})
    made = {config.job_name: scrape_job(config, known) for config in (pods, static)}
    return made | {"files": log_job(files, known)}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The page on a server of its own thread: the browser's driver blocks ours."""
    known = Known()
    loop = asyncio.new_event_loop()
    started = threading.Event()
    where: list[int] = []

    async def serve() -> None:
        app = web.Application()
        app.add_routes(DiscoveryPage("scraper", lambda: jobs(known)).routes())
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        where.append(runner.addresses[0][1])
        started.set()
        await stop.wait()
        await runner.cleanup()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(30)
    yield f"http://127.0.0.1:{where[0]}/service-discovery"
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


def test_jobs_are_folded_and_say_how_many_targets_and_what_fails(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address, "light")
    text = page.inner_text("main")
    for part in ("10\u2009000 discovered", "failing", "static", "files"):
        assert part in text, part
    assert page.locator("tbody tr").count() == 0
    page.locator("summary", has_text="pods").click()
    page.wait_for_selector("tbody tr")
    assert "connection refused; the targets it had stay" in page.inner_text("main")
    assert not wrong
    page.close()


def test_targets_come_a_page_at_a_time(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address, "light")
    page.locator("summary", has_text="pods").click()
    page.wait_for_selector("tbody tr")
    assert page.locator("tbody tr").count() == 50
    assert "7,500 active · 2,500 dropped · 10,000 match, 50 shown" in page.inner_text(".counts")
    page.get_by_text("show 50 more").click()
    page.wait_for_function("document.querySelectorAll('tbody tr').length === 100")
    assert not wrong
    page.close()


def test_a_search_looks_through_all_labels_of_all_targets(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address, "light")
    page.locator("summary", has_text="pods").click()
    page.wait_for_selector("tbody tr")
    page.fill("#search", 'POD_NAME="web-9999"')
    page.wait_for_function("document.querySelectorAll('tbody tr').length === 1")
    row = page.inner_text("tbody tr")
    for part in ('instance="10.0.39.15:15020"', 'app="web"', 'namespace="team-19"', "active"):
        assert part in row, part
    page.fill("#search", "")
    page.select_option("#state", "dropped")
    page.wait_for_function("document.querySelector('.counts').textContent.includes('2,500 match')")
    assert set(page.locator("tbody .badge").all_inner_texts()) == {"dropped"}
    assert not wrong
    page.close()


def test_each_rule_says_what_it_changed(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address, "light")
    page.locator("summary", has_text="pods").click()
    page.fill("#search", 'pod_name="web-9999"')
    page.wait_for_function("document.querySelectorAll('tbody tr').length === 1")
    page.locator("summary", has_text="relabelling").click()
    page.wait_for_selector(".steps li")
    steps = page.locator(".steps li").all_inner_texts()
    assert len(steps) == len(RULES)
    assert "action: keep" in steps[0]
    assert "changes nothing" in steps[0]
    assert '+ namespace="team-19"' in steps[1]
    assert '__address__="10.0.39.15:80" → __address__="10.0.39.15:15020"' in steps[2]
    assert "changes nothing" in steps[3]
    assert '+ app="web"' in steps[4]
    assert not wrong
    page.close()


def test_a_dropped_target_shows_the_rule_that_dropped_it(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address, "light")
    page.locator("summary", has_text="pods").click()
    page.fill("#search", 'pod_name="web-8"')
    page.wait_for_function("document.querySelectorAll('tbody tr').length === 1")
    page.locator("summary", has_text="relabelling").click()
    page.wait_for_selector(".steps li.end")
    steps = page.locator(".steps li").all_inner_texts()
    assert len(steps) == 1
    assert "dropped here" in steps[0]
    assert not wrong
    page.close()


def test_what_cannot_be_scraped_says_why_and_labels_are_text(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address, "light")
    page.locator("summary", has_text="static").click()
    page.wait_for_selector("tbody tr")
    text = page.inner_text("tbody")
    for part in ("unusable", '"bad/host:2" is not a valid hostname', 'env="<b>prod</b>"'):
        assert part in text, part
    page.locator("summary", has_text="relabelling").first.click()
    page.wait_for_selector("text=this job has no relabel_configs")
    assert not wrong
    page.close()


def test_jobs_of_logs_show_their_globs_and_all_jobs_open_at_once(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address, "light")
    page.click("#fold")
    page.wait_for_selector('details[data-job="files"] tbody tr')
    assert '__path__="/var/log/*.log"' in page.inner_text('details[data-job="files"] tbody')
    page.wait_for_selector('details[data-job="pods"] tbody tr')
    page.click("#fold")
    assert page.locator("details.job[open]").count() == 0
    assert not wrong
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_readers_colours_and_fits_a_narrow_window(browser: Browser, address: str, scheme: str) -> None:
    page, wrong = opened(browser, address, scheme)
    ground, text = luminance(page, "backgroundColor"), luminance(page, "color")
    assert (ground > 0.5) == (scheme == "light")
    lighter, darker = max(ground, text), min(ground, text)
    assert (lighter + 0.05) / (darker + 0.05) > 7, "WCAG AAA contrast of plain text"
    page.click("#fold")
    page.wait_for_selector('details[data-job="pods"] tbody tr')
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "wide tables scroll inside their own box"
    assert not wrong
    page.close()
