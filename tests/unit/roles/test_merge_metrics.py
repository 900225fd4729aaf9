"""One metrics page made of many."""

from __future__ import annotations

import pytest

from pipeline.roles.merge_metrics import merge

HEAD = "# HELP x_total Things.\n# TYPE x_total counter\n"


def test_a_family_stands_together_with_one_head() -> None:
    page = HEAD + "x_total 1.0\n# TYPE y gauge\ny 2.0\n"
    assert merge([({"role": "a"}, page), ({"role": "b"}, page)]) == (
        HEAD + 'x_total{role="a"} 1.0\nx_total{role="b"} 1.0\n# TYPE y gauge\ny{role="a"} 2.0\ny{role="b"} 2.0\n'
    )


def test_a_histogram_is_one_family() -> None:
    page = '# TYPE h histogram\nh_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 1\nh_count 1\nh_sum 0.5\n'
    merged = merge([({"role": "a"}, page), ({"role": "b"}, page)])
    assert merged.count("# TYPE") == 1
    assert 'h_bucket{role="b",le="+Inf"} 1' in merged


@pytest.mark.parametrize(
    ("line", "merged"),
    [
        ("x 1", 'x{role="run"} 1'),
        ("x NaN", 'x{role="run"} NaN'),
        ('x{a="1"} 1', 'x{role="run",a="1"} 1'),
        ('x{role="own"} 1', 'x{role="own"} 1'),
        (r'x{a="role=\"no\""} 1', r'x{role="run",a="role=\"no\""} 1'),
        ('x{a="} b"} 1', 'x{role="run",a="} b"} 1'),
        ('x{a="1",} 1', 'x{role="run",a="1"} 1'),
        ("x{} 1", 'x{role="run"} 1'),
        ("x 1 1700000000000", 'x{role="run"} 1 1700000000000'),
    ],
)
def test_labels_are_added_and_own_ones_kept(line: str, merged: str) -> None:
    assert merge([({"role": "run"}, line)]) == merged + "\n"


def test_an_added_value_is_escaped() -> None:
    assert merge([({"role": 'a"\\'}, "x 1")]) == 'x{role="a\\"\\\\"} 1\n'


def test_what_is_no_sample_is_left_out() -> None:
    assert merge([({}, "<html>\n\n# EOF\n# a comment\n!\n")]) == ""
