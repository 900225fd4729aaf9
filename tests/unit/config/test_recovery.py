from __future__ import annotations

import pytest

from pipeline.clients.profiles import PROFILES
from pipeline.config.load import load
from pipeline.config.recovery import ANY_ORDER, start_ms


def read(tmp_path, text: str):
    file = tmp_path / "headrace.yml"
    file.write_text(text)
    return load(file, environ={})


def test_the_profiles_that_take_any_order_are_those_of_the_clients():
    assert {name for name, profile in PROFILES.items() if profile.takes_out_of_order} == ANY_ORDER


def test_without_a_word_a_backend_catches_up_in_order_and_begins_at_the_earliest(tmp_path):
    config = read(tmp_path, "remote_write: [{url: http://a/write}]\nlogs: {clients: [{url: http://b/push}]}\n")
    for settings in (config.remote_write[0], config.logs.clients[0]):
        assert (settings.recovery, settings.out_of_order_time_window, settings.start_from) == ("ordered", 0, "earliest")


@pytest.mark.parametrize(
    "more",
    [
        "profile: victoriametrics",
        "profile: prometheus, out_of_order_time_window: 2h",
        "out_of_order_time_window: 30m",
    ],
)
def test_fresh_first_is_for_backends_that_take_what_is_older(tmp_path, more):
    config = read(tmp_path, f"remote_write: [{{url: 'http://a/write', recovery: fresh_first, {more}}}]\n")
    assert config.remote_write[0].recovery == "fresh_first"


def test_a_loki_says_its_window(tmp_path):
    text = "logs: {clients: [{url: 'http://b/push', recovery: fresh_first, out_of_order_time_window: 1h}]}\n"
    assert read(tmp_path, text).logs.clients[0].out_of_order_time_window == 3600


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("earliest", None),
        ("latest", None),
        ("2026-11-21T14:00:00Z", 1_795_269_600_000),
        ("2026-11-21T16:00:00+02:00", 1_795_269_600_000),
        ("2026-11-21 14:00", 1_795_269_600_000),
        ("2h", 1_000_000_000_000 - 7_200_000),
    ],
)
def test_a_start_is_a_time_or_a_word(text, expected):
    assert start_ms(text, 1_000_000_000.0) == expected


def test_a_start_that_yaml_would_take_for_a_date_is_read_as_written(tmp_path):
    config = read(tmp_path, "remote_write: [{url: http://a/write, start_from: 2026-11-21T14:00:00Z}]\n")
    assert config.remote_write[0].start_from == "2026-11-21T14:00:00Z"
