from __future__ import annotations

from typing import Any, cast

import pytest

from pipeline.config.scrape import ScrapeConfig
from pipeline.http_client import HttpClient
from pipeline.http_client.errors import TimedOut
from pipeline.relabel.program import Program
from pipeline.scrape.fetch import Fetched, Fetcher
from pipeline.scrape.scraped import BodySizeExceeded
from pipeline.scrape.target import Target, discovered_labels, make_target
from tests.support.targets import FakeAnswer, FakeTargets
from topics.errors import ScrapeFailed

URL = "http://h:1/metrics"


def fetcher(targets: FakeTargets, **config: Any) -> tuple[Fetcher, Target]:
    job = ScrapeConfig.model_validate({"job_name": "j", "scrape_timeout": 2.5, **config})
    target = make_target(job, Program(()), discovered_labels(job, {"__address__": "h:1"}, {}))
    assert target is not None
    return Fetcher(job, cast("HttpClient", targets)), target


async def test_the_request_says_what_is_wanted_and_how_long_it_may_take() -> None:
    targets = FakeTargets({URL: FakeAnswer(b"a 1\n")})
    fetch, target = fetcher(targets)
    assert (await fetch.fetch(target)).body == b"a 1\n"
    [(url, headers, timeout_s)] = targets.requests
    assert (url, timeout_s) == (URL, 2.5)
    assert headers["X-Prometheus-Scrape-Timeout-Seconds"] == "2.5"
    assert headers["Accept-Encoding"] == "gzip"
    assert headers["Accept"] == (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,"
        "application/openmetrics-text;version=0.0.1;q=0.6,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
    )


async def test_compression_may_be_switched_off() -> None:
    targets = FakeTargets({URL: FakeAnswer()})
    fetch, target = fetcher(targets, enable_compression=False)
    await fetch.fetch(target)
    assert targets.requests[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (FakeAnswer(status=503, reason="Service Unavailable"), "server returned HTTP status 503 Service Unavailable"),
        (FakeAnswer(b"a 1\n", content_type=""), "sends no Content-Type"),
        (FakeAnswer(b"a 1\n", content_type="text/html"), 'unsupported Content-Type "text/html"'),
        (FakeAnswer(b"a 1\n", content_type="nonsense"), "unsupported Content-Type"),
        (TimedOut(f"{URL}: no answer in time"), "no answer in time"),
    ],
)
async def test_what_is_no_exposition_fails_the_scrape(answer: FakeAnswer | TimedOut, words: str) -> None:
    fetch, target = fetcher(FakeTargets({URL: answer}))
    with pytest.raises(ScrapeFailed, match=words.replace("(", "\\(")):
        await fetch.fetch(target)


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain; charset=utf-8", "TEXT/PLAIN;version=1.0.0"])
async def test_plain_text_of_any_version_is_read(content_type: str) -> None:
    fetch, target = fetcher(FakeTargets({URL: FakeAnswer(b"a 1\n", content_type=content_type)}))
    assert (await fetch.fetch(target)).body == b"a 1\n"


async def test_a_fallback_protocol_reads_whatever_comes() -> None:
    targets = FakeTargets({URL: FakeAnswer(b"a 1\n", content_type="")})
    fetch, target = fetcher(targets, fallback_scrape_protocol="PrometheusText0.0.4")
    assert (await fetch.fetch(target)).body == b"a 1\n"


async def test_the_answer_says_which_protocol_its_body_is() -> None:
    answer = FakeAnswer(b"# EOF\n", content_type="application/openmetrics-text; version=1.0.0; escaping=dots")
    fetch, target = fetcher(FakeTargets({URL: answer}))
    assert await fetch.fetch(target) == Fetched(b"# EOF\n", "OpenMetricsText1.0.0", "dots")


async def test_the_legacy_scheme_asks_for_underscores() -> None:
    targets = FakeTargets({URL: FakeAnswer(b"a 1\n")})
    fetch, target = fetcher(targets, metric_name_validation_scheme="legacy", scrape_native_histograms=True)
    await fetch.fetch(target)
    accept = targets.requests[0][1]["Accept"]
    assert accept.startswith("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;")
    assert accept.count(";escaping=underscores;") == 2


async def test_a_body_beyond_its_limit_fails_in_the_words_of_prometheus() -> None:
    fetch, target = fetcher(FakeTargets({URL: FakeAnswer(b"a 1\n" * 10)}), body_size_limit="40B")
    with pytest.raises(BodySizeExceeded, match=r"^body size limit exceeded$"):
        await fetch.fetch(target)
    fetch, target = fetcher(FakeTargets({URL: FakeAnswer(b"a 1\n" * 10)}), body_size_limit="41B")
    assert len((await fetch.fetch(target)).body) == 40


@pytest.mark.parametrize(("timeout", "text"), [("10s", "10"), ("50ms", "0.05"), ("1m", "60"), ("2s500ms", "2.5")])
async def test_the_timeout_is_told_in_seconds(timeout: str, text: str) -> None:
    targets = FakeTargets({URL: FakeAnswer(b"a 1\n")})
    fetch, target = fetcher(targets, scrape_timeout=timeout)
    await fetch.fetch(target)
    assert targets.requests[0][1]["X-Prometheus-Scrape-Timeout-Seconds"] == text
