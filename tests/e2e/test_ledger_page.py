"""The ledger's page in a real browser: red where something is wrong, fresh without a reload, unfolded where it was."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pipeline.web import ledger
from pipeline.web.pages import page as rendered
from tests.e2e.test_pages import browser, opened, run  # noqa: F401  fixtures
from tests.unit.web.test_ledger import LINKS, account, status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.e2e.test_run import Run

pytestmark = [pytest.mark.browser, pytest.mark.slow]

INCIDENT = {"time_ms": 1_800_000_000_000, "kind": "retention", "from": 1000, "to": 4500}


class Shown:
    """A server of the page; `statuses` is what it shows next."""

    def __init__(self) -> None:
        self.statuses: list[dict[str, Any]] = []
        self.web = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    async def _start(self) -> None:
        async def show(_request: web.Request) -> web.Response:
            return rendered("ledger.html.j2", heading="headrace ledger", links=LINKS, **ledger.view(self.statuses))

        application = web.Application()
        application.add_routes([web.get("/ledger", show)])
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.web = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def server() -> Iterator[Shown]:
    made = Shown()
    yield made
    made.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_wrong_is_red_and_what_is_well_is_not(
    browser: Browser,  # noqa: F811
    server: Shown,
    scheme: str,
) -> None:
    lost = account(missing_records=3500, missing_items=70_000, incidents=[INCIDENT])
    server.statuses = [
        status("well"),
        status("lost", account(), lost, ledger=lost),
        status("open", account(difference=3)),
    ]
    page, wrong = opened(browser, f"{server.web}/ledger", scheme)
    colour = "element => getComputedStyle(element).color"
    red = page.evaluate("() => { const s = document.createElement('i'); s.style.color = 'var(--bad)'; "
                        "document.body.append(s); return getComputedStyle(s).color }")  # fmt: skip
    for name, number in (("lost", "70 000"), ("open", "3")):
        value = page.locator(f"#ledger-{name} .alarm b").first
        assert value.inner_text().replace("\u2009", " ") == number
        assert value.evaluate(colour) == red
    assert page.locator("#ledger-well .alarm").count() == 0
    assert "2027-01-15 08:00:00 UTC" in page.locator("#ledger-lost").inner_text()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert wrong == []
    page.close()


def test_it_stays_fresh_and_unfolded(browser: Browser, server: Shown) -> None:  # noqa: F811
    server.statuses = [status("mimir", account(), account())]
    page, wrong = opened(browser, f"{server.web}/ledger", "light")
    page.get_by_text("2 partitions here").click()
    assert page.locator("#parts-mimir tbody tr").count() == 2
    server.statuses = [status("mimir", account(difference=5), account())]
    page.get_by_text("does not close", exact=True).wait_for()
    assert page.locator("#parts-mimir tbody tr").first.is_visible(), "still unfolded"
    assert wrong == []
    page.close()


@pytest.mark.kafka
def test_a_run_shows_the_ledger_of_every_backend(browser: Browser, run: Run) -> None:  # noqa: F811
    page, wrong = opened(browser, f"{run.web}/ledger", "light")
    good = page.locator("#ledger-good")
    assert "closes" in good.inner_text()
    assert "samples in" in good.inner_text()
    assert "retrying" in page.locator("#ledger-dead").inner_text()
    page.goto(f"{run.web}/roles/agent:good/ledger")
    assert "closes" in page.locator("#ledger-good").inner_text()
    assert wrong == []
    page.close()
