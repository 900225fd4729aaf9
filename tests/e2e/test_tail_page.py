"""The tailer's page in a real browser, with thousands of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_pages import browser, luminance, opened  # noqa: F401  the browser is a fixture
from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.slow]

FILES = 3000
PROMTAIL = """
scrape_configs:
  - job_name: pods
    static_configs:
      - labels: {{app: shop, __path__: "{folder}/*/0.log"}}
      - labels: {{app: lost}}
      - labels: {{app: away, __path__: "{folder}/no/such/*.log"}}
"""


@pytest.fixture(scope="module")
def tailer(tmp_path_factory: pytest.TempPathFactory, kafka: KafkaPeer) -> Iterator[Headrace]:
    folder: Path = tmp_path_factory.mktemp("tail")
    pods = folder / "pods"
    for number in range(FILES):
        log = pods / f"ns_pod-{number:04d}_uid" / "0.log"
        log.parent.mkdir(parents=True)
        log.write_text("a line\n" * (1 + number % 7))
    (folder / "headrace.yml").write_text("topics: {partitions: 4}\n")
    (folder / "promtail.yml").write_text(PROMTAIL.format(folder=pods))
    with Headrace(
        "tail",
        f"--config.file={folder / 'headrace.yml'}",
        f"--promtail.config-file={folder / 'promtail.yml'}",
        f"--kafka.brokers={kafka.brokers}",
        "--kafka.prefix=tail-page.",
        "--node.name=tail-page",
        f"--storage.path={folder / 'storage'}",
    ) as process:
        process.wait_ready()
        read = f"{FILES} files and one that is not"
        wait_for(read, lambda: len(process.status()["files"]) == FILES + 1)
        wait_for("their lines", lambda: not any(one["lag_bytes"] for one in process.status()["files"]))
        yield process
        assert process.stop() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_readers_colours_and_fits_the_window(
    browser: Browser,  # noqa: F811
    tailer: Headrace,
    tmp_path: Path,
    scheme: str,
) -> None:
    page, wrong = opened(browser, f"{tailer.web}/tail", scheme)
    page.screenshot(path=tmp_path / f"tail-{scheme}.png")
    ground, text = luminance(page, "backgroundColor"), luminance(page, "color")
    assert (ground > text) is (scheme == "light")
    lighter, darker = max(ground, text), min(ground, text)
    assert (lighter + 0.05) / (darker + 0.05) > 7
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert wrong == []
    page.close()


def test_a_reader_finds_one_of_thousands(browser: Browser, tailer: Headrace) -> None:  # noqa: F811
    page, wrong = opened(browser, f"{tailer.web}/tail", "light")
    assert page.locator("#files tbody tr").count() == 100
    assert page.get_by_text("1 to 100 of").count() == 1
    page.get_by_text("next").click()
    page.wait_for_url("**/tail?page=2")
    page.get_by_role("searchbox").fill("pod-2345")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**/tail?search=pod-2345")
    assert page.locator("#files tbody tr").count() == 1
    assert "ns_pod-2345_uid/0.log" in page.locator("#files tbody tr").inner_text()
    page.get_by_text("errors (1)").click()
    assert page.get_by_text("no file is as you ask").count() == 1
    page.goto(f"{tailer.web}/tail?state=errors")
    assert "No such file or directory" in page.locator("#files tbody tr").inner_text()
    page.get_by_text("1 targets read nothing").click()
    assert page.get_by_text("no __path__ label").is_visible()
    assert wrong == []
    page.close()


def test_what_is_being_typed_is_not_lost_to_the_page_renewing_itself(browser: Browser, tailer: Headrace) -> None:  # noqa: F811
    page, _ = opened(browser, f"{tailer.web}/tail", "light")
    page.get_by_role("searchbox").type("half a wo")
    page.evaluate("refresh()")
    assert page.get_by_role("searchbox").input_value() == "half a wo"
    page.evaluate("document.activeElement.blur()")
    with page.expect_response("**/tail"):
        page.evaluate("refresh()")
    page.close()
