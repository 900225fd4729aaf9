"""OpenMetrics on the hot path: values, timestamps in seconds, exemplars, the end of the document."""

from __future__ import annotations

import pytest

from pipeline.producer.appender import Fragment
from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.negotiation import OPENMETRICS
from pipeline.scrape.scraped import Scraped
from tests.support.scraping import Sample, maker, plain, take
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import EXEMPLARS

T = 1_700_000_000_000
Exemplar = tuple[str, tuple[tuple[str, str], ...], float, int]


@pytest.fixture
def cache() -> SeriesCache:
    return SeriesCache(maker())


def scrape(cache: SeriesCache, text: str, ts_ms: int) -> tuple[Scraped, dict[str, str], list[Exemplar]]:
    fragments: list[Fragment] = []
    scraped, _ = take(cache, b"", ts_ms - 1) if not text else _take(cache, text, ts_ms, fragments)
    return scraped, plain(_samples(fragments)), _exemplars(fragments)


def _take(cache: SeriesCache, text: str, ts_ms: int, fragments: list[Fragment]) -> tuple[Scraped, list[Sample]]:
    scraped, _ = take(cache, text.encode(), ts_ms, OPENMETRICS)
    fragments += scraped.fragments
    return scraped, []


def _samples(fragments: list[Fragment]) -> list[Sample]:
    from tests.support.scraping import samples_of  # noqa: PLC0415 - beside its only use

    return samples_of([fragment for fragment in fragments if not fragment.extras])


def _exemplars(fragments: list[Fragment]) -> list[Exemplar]:
    found = []
    for fragment in fragments:
        if fragment.extras != EXEMPLARS:
            continue
        assert fragment.samples == 0
        for series in WriteRequest.FromString(bytes(fragment.payload)).timeseries:
            name = {label.name: label.value for label in series.labels}["__name__"]
            assert not series.samples
            for exemplar in series.exemplars:
                labels = tuple((label.name, label.value) for label in exemplar.labels)
                found.append((name, labels, exemplar.value, exemplar.timestamp))
    return found


def body(exemplar: str = "", value: str = "17") -> str:
    return f"# TYPE a counter\na_total {value}{exemplar}\n# TYPE b gauge\nb 2\n# EOF\n"


def test_the_second_body_is_matched(cache: SeriesCache) -> None:
    assert scrape(cache, body(), T)[0].how == "read"
    scraped, samples, _ = scrape(cache, body(value="18"), T + 1)
    assert scraped.how == "matched"
    assert samples == {"a_total": "18", "b": "2"}


@pytest.mark.parametrize(
    "text",
    [
        "# TYPE a counter\na_total 1\n# TYPE b gauge\nb 2\n",
        "# TYPE a counter\na_total 1\n# TYPE b gauge\nb 2 \n# EOF\n",
        "# TYPE a counter\na_total  1\n# TYPE b gauge\nb 2\n# EOF\n",
        "# TYPE a counter\na_total 1\n# TYPE b gauge\nb 2\n# EOF\nc 1\n",
        "# TYPE a counter\na_total 1\n# EOF\n# TYPE b gauge\nb 2\n# EOF\n",
        "# TYPE a counter\na_total 1 # {\n# TYPE b gauge\nb 2\n# EOF\n",
        "# TYPE a counter\na_total 1 x\n# TYPE b gauge\nb 2\n# EOF\n",
        "# TYPE a counter\na_total 1 # {x=\"1\"} 1 1 1\n# TYPE b gauge\nb 2\n# EOF\n",
    ],
)  # fmt: skip
def test_a_known_layout_does_not_let_a_malformed_document_pass(cache: SeriesCache, text: str) -> None:
    scrape(cache, body(), T)
    hot = scrape(cache, text, T + 1)[0]
    cold = scrape(SeriesCache(maker()), text, T + 1)[0]
    assert hot.error is not None
    assert str(hot.error) == str(cold.error)
    assert hot.counts.scraped == cold.counts.scraped


def test_new_lines_are_patched_in_before_the_end(cache: SeriesCache) -> None:
    filler = "".join(f'm{{n="{number}"}} 1\n' for number in range(30))
    scrape(cache, filler + "# EOF\n", T)
    scraped, samples, _ = scrape(cache, filler + "new 5\n# EOF\n", T + 1)
    assert scraped.how == "patched"
    assert samples["new"] == "5"
    assert scrape(cache, "# EOF\n" + filler, T + 2)[0].error is not None


def test_timestamps_are_seconds(cache: SeriesCache) -> None:
    for turn, how in enumerate(("read", "matched")):
        scraped, _ = take(cache, f"a 1 {1_000 + turn}.5\n# EOF\n".encode(), T + turn, OPENMETRICS)
        assert scraped.how == how
        (fragment,) = scraped.fragments
        assert fragment.min_ts_ms == 1_000_500 + turn * 1000


def test_an_exemplar_is_sent_once(cache: SeriesCache) -> None:
    first = scrape(cache, body(' # {trace="x"} 0.5 1600000000.25'), T)
    assert first[2] == [("a_total", (("trace", "x"),), 0.5, 1_600_000_000_250)]
    assert first[1] == {"a_total": "17", "b": "2"}
    again = scrape(cache, body(' # {trace="x"} 0.5 1600000000.25', "18"), T + 1)
    assert (again[0].how, again[2]) == ("matched", [])
    newer = scrape(cache, body(' # {trace="y"} 0.5 1600000001', "19"), T + 2)
    assert (newer[0].how, newer[2]) == ("matched", [("a_total", (("trace", "y"),), 0.5, 1_600_000_001_000)])
    assert newer[1] == {"a_total": "19", "b": "2"}


def test_an_exemplar_may_come_to_a_line_that_had_none(cache: SeriesCache) -> None:
    scrape(cache, body(), T)
    scraped, samples, exemplars = scrape(cache, body(' # {trace="x"} 0.5 1600000000'), T + 1)
    assert scraped.how == "matched"
    assert samples == {"a_total": "17", "b": "2"}
    assert exemplars == [("a_total", (("trace", "x"),), 0.5, 1_600_000_000_000)]


def test_an_exemplar_without_a_time_gets_that_of_its_sample(cache: SeriesCache) -> None:
    assert scrape(cache, body(' # {trace="x"} 0.5'), T)[2] == [("a_total", (("trace", "x"),), 0.5, T)]
    assert scrape(cache, body(' # {trace="x"} 0.5'), T + 1)[2] == []


def test_an_exemplar_older_than_the_last_is_counted(cache: SeriesCache) -> None:
    scrape(cache, body(' # {trace="x"} 0.5 1600000000'), T)
    scraped, _, exemplars = scrape(cache, body(' # {trace="y"} 0.5 1599999999'), T + 1)
    assert exemplars == []
    assert scraped.exemplars_out_of_order == 1


@pytest.mark.parametrize("labels", ['trace="' + "x" * 124 + '"', 'x="1",x="2"'])
def test_an_exemplar_with_labels_that_it_may_not_have_is_left_out(cache: SeriesCache, labels: str) -> None:
    scraped, samples, exemplars = scrape(cache, body(f" # {{{labels}}} 0.5 1600000000"), T)
    assert scraped.error is None
    assert samples == {"a_total": "17", "b": "2"}
    assert exemplars == []


def test_exemplars_stay_known_when_lines_come_and_go(cache: SeriesCache) -> None:
    filler = "".join(f'm{{n="{number}"}} 1\n' for number in range(30))
    line = 'a_total 1 # {trace="x"} 0.5 1600000000\n'
    scrape(cache, filler + line + "# EOF\n", T)
    scraped, _, exemplars = scrape(cache, "new 1\n" + filler + line + "# EOF\n", T + 1)
    assert (scraped.how, exemplars) == ("patched", [])
    scraped, _, exemplars = scrape(cache, "new 1\n" + filler + line + "# EOF\n", T + 2)
    assert (scraped.how, exemplars) == ("matched", [])


def test_metadata_is_what_the_comments_say(cache: SeriesCache) -> None:
    text = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds How long.\na_seconds_total 1\n# EOF\n"
    scrape(cache, text, T)
    found = cache.metadata["a_seconds"]
    assert (found.type, found.unit, found.help) == ("counter", "seconds", "How long.")
