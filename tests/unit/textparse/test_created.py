from __future__ import annotations

from pipeline.textparse.openmetrics import OpenMetricsParser


def starts(text: bytes) -> list[tuple[str, int | None]]:
    parser, found = OpenMetricsParser(text + b"# EOF\n", start_times=True), []
    while (sample := parser.next()) is not None:
        found.append((sample.labels()[0][1], sample.start_ms))
    return found


def test_a_counter_begins_when_its_created_series_says() -> None:
    text = b'# TYPE c counter\nc_total{a="1"} 1\nc_created{a="1"} 1.25\nc_total{a="2"} 1\nc_created{a="2"} 2\n'
    assert starts(text) == [("c_total", 1250), ("c_total", 2000)]


def test_bounds_and_quantiles_do_not_matter() -> None:
    text = b'# TYPE h histogram\nh_bucket{a="b",le="+Inf"} 1\nh_count{a="b"} 1\nh_created{a="b"} 3\n'
    text += b'# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 1\ns_created 4\n'
    assert starts(text) == [("h_bucket", 3000), ("h_count", 3000), ("s", 4000), ("s_sum", 4000)]


def test_another_series_and_another_family_are_not_meant() -> None:
    text = b'# TYPE c counter\nc_total{a="1"} 1\nc_created{a="2"} 1\nc_total{a="3"} 1\n# HELP d x\n# TYPE d counter\n'
    assert starts(text + b'd_total{a="3"} 1\nc_created{a="3"} 1\n') == [("c_total", None)] * 2 + [("d_total", None)]


def test_a_gauge_has_no_beginning_and_keeps_its_created_series() -> None:
    assert starts(b"# TYPE g gauge\ng 1\ng_created 1\n") == [("g", None), ("g_created", None)]
