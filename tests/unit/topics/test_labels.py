"""Label sets and their text form."""

from __future__ import annotations

import random

import pytest

from topics import labels
from topics.errors import InvalidLabels


def test_labels_are_sorted_by_the_bytes_of_their_names():
    names = ["b", "a", "Z", "_", "é", "\uffff", "😀", "ab"]
    made = [name for name, _ in labels.make(dict.fromkeys(names, "v"))]
    assert made == sorted(names, key=str.encode)


def test_a_label_with_an_empty_value_is_no_label():
    assert labels.make({"a": "", "b": "c"}) == (("b", "c"),)
    assert labels.make({"": ""}) == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [({"": "v"}, "empty name"), ({"a": "\ud800"}, "UTF-8"), ({"\udfff": "a"}, "UTF-8")],
)
def test_labels_that_cannot_be_are_refused(given, words):
    with pytest.raises(InvalidLabels, match=words):
        labels.make(given)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({}, "{}"),
        ({"b": "2", "a": "1"}, '{a="1", b="2"}'),
        ({"a": 'say "hi"\\'}, r'{a="say \"hi\"\\"}'),
        ({"a": "x\ny\tz\r\v\f\a\b"}, r'{a="x\ny\tz\r\v\f\a\b"}'),
        ({"a": "\x00\x1f\x7f"}, r'{a="\x00\x1f\x7f"}'),
        ({"a": "grüße 世界 😀"}, '{a="grüße 世界 😀"}'),
        ({"a": "\ufeff\u200b\U000e0001"}, r'{a="\ufeff\u200b\U000e0001"}'),
        ({"http.status": "200", "_ok": "1", "9x": "1"}, '{"9x"="1", _ok="1", "http.status"="200"}'),
    ],
)
def test_text_is_quoted_as_go_quotes(given, written):
    pairs = labels.make(given)
    assert labels.text(pairs) == written
    assert labels.parse_text(written) == pairs


@pytest.mark.parametrize(
    ("written", "given"),
    [
        (' { a = "1" ,b="2", } ', {"a": "1", "b": "2"}),
        ('{a=`raw \\n "quoted"`}', {"a": 'raw \\n "quoted"'}),
        (r'{a="\303\251\xc3\xa9\u00e9\U000000e9"}', {"a": "éééé"}),
        ('{b="2",a="1"}', {"a": "1", "b": "2"}),
        ('{a=""}', {}),
    ],
)
def test_text_that_others_write_is_understood(written, given):
    assert labels.parse_text(written) == labels.make(given)


@pytest.mark.parametrize(
    "bad",
    [
        "", "a", "{", '{a="1"', '{a="1"}x', "{a}",
        "{a=}", "{a=1}", '{a="1" b="2"}', '{,}', '{a="1",,}', '{a="1", a="2"}',
        '{1a="x"}', '{a="\\q"}', '{a="x\ny"}', '{a="\\xff"}', '{a="\\ud800"}', '{a="\\U00110000"}', '{a="\\777"}',
        '{""="x"}', '{a="unclosed}', '{a="ends in escape\\"}', "{a=`open}",
    ],
)  # fmt: skip
def test_malformed_text_is_refused(bad):
    with pytest.raises(InvalidLabels):
        labels.parse_text(bad)


def test_random_labels_survive_the_way_through_text():
    rng = random.Random(7)
    alphabet = 'ab_Z0.9 "\\\n\t{}=,`é世😀\x00\x7f\u2028\ufeff\xa0'
    for _ in range(500):
        given = {
            "".join(rng.choices(alphabet, k=rng.randint(1, 6))): "".join(rng.choices(alphabet, k=rng.randint(0, 12)))
            for _ in range(rng.randint(0, 6))
        }
        pairs = labels.make(given)
        assert labels.parse_text(labels.text(pairs)) == pairs
