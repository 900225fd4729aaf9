"""Durations, sizes, secrets, booleans: as Prometheus and Go read them."""

from __future__ import annotations

import pickle

import pytest
from pydantic import BaseModel, ValidationError

from pipeline.config.units import (
    Boolean,
    Duration,
    Integer,
    Scalar,
    Secret,
    Size,
    Text,
    format_duration,
    format_size,
    parse_duration,
    parse_go_duration,
    parse_size,
)

DURATIONS = [
    ("0", 0.0),
    ("0s", 0.0),
    ("100ms", 0.1),
    ("15s", 15.0),
    ("1m", 60.0),
    ("1h30m", 5400.0),
    ("1d", 86400.0),
    ("1w", 604800.0),
    ("1y", 31536000.0),
    ("1y2w3d4h5m6s7ms", 31536000 + 1209600 + 259200 + 14400 + 300 + 6.007),
    ("90m", 5400.0),
]


@pytest.mark.parametrize(("text", "seconds"), DURATIONS)
def test_a_duration_is_read_as_prometheus_reads_it(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "1", "15", "1.5s", "-1s", "s", "1s1m", "1m1m", "1 s", " 1s", "1us", "١s", "1S", "00"]
)
def test_what_prometheus_refuses_is_no_duration(text):
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.03, "30ms"),
        (15, "15s"),
        (5400, "1h30m"),
        (604800, "1w"),
        (691200, "8d"),
        (31536000, "1y"),
        (86401, "1d1s"),
    ],
)
def test_a_duration_is_written_as_prometheus_writes_it(seconds, text):
    assert format_duration(seconds) == text
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5s", 1.5), ("250ms", 0.25), ("1h2m", 3720.0), ("10us", 1e-5), ("100ns", 1e-7), (".5s", 0.5), ("0", 0)],
)
def test_a_duration_of_promtail_is_gos(text, seconds):
    assert parse_go_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "1d", "1s x", "s", "1..5s"])
def test_what_go_refuses_is_no_duration(text):
    with pytest.raises(ValueError):
        parse_go_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1B", 1), ("512KB", 524288), ("10MB", 10485760), ("1.5GB", 1610612736), ("2TB", 2**41), ("1PB", 2**50),
     ("1EB", 2**60), ("128KiB", 131072)],
)  # fmt: skip
def test_a_size_is_read_in_units_of_1024(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1", "10mb", "MB", "-1MB", "1 MB", "1K"])
def test_a_size_needs_a_unit(text):
    with pytest.raises(ValueError):
        parse_size(text)


@pytest.mark.parametrize("size", [0, 1, 1000, 1024, 1536, 2**20, 2**22, 2**30 + 1, 2**60])
def test_a_size_written_reads_the_same(size):
    assert parse_size(format_size(size)) == size


class Model(BaseModel):
    boolean: Boolean = False
    integer: Integer = 0
    duration: Duration = 0.0
    size: Size = 0
    text: Text = ""
    secret: Secret = Secret("")


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("yes", True), ("On", True), ("y", True), ("false", False), ("NO", False), ("off", False)],
)
def test_booleans_are_yamls(text, value):
    assert Model(boolean=Scalar(text)).boolean is value


@pytest.mark.parametrize("value", [Scalar("true", quoted=True), Scalar("1"), Scalar("TrUe"), 1, None, []])
def test_other_things_are_no_booleans(value):
    with pytest.raises(ValidationError):
        Model(boolean=value)


@pytest.mark.parametrize(("text", "value"), [("12", 12), ("-1", -1), ("0x10", 16), ("1_000", 1000), ("+5", 5)])
def test_integers_are_yamls(text, value):
    assert Model(integer=Scalar(text)).integer == value


@pytest.mark.parametrize("value", [Scalar("12", quoted=True), Scalar("1.5"), Scalar("x"), Scalar(""), True, 1.5, {}])
def test_other_things_are_no_integers(value):
    with pytest.raises(ValidationError):
        Model(integer=value)


def test_values_of_python_pass_as_they_are():
    model = Model(duration=5, size=10, boolean=True)
    assert (model.duration, model.size, model.boolean) == (5.0, 10, True)


def test_a_text_is_what_was_written():
    assert Model(text=Scalar("0o17")).text == "0o17"
    assert type(Model(text=Scalar("a")).text) is str


def test_a_secret_shows_itself_to_nobody():
    model = Model(secret="hunter2")
    shown = [
        repr(model),
        str(model),
        model.model_dump_json(),
        str(model.model_dump()),
        f"{model.secret}",
        f"{model.secret!r}",
    ]
    assert all("hunter2" not in text and "<secret>" in text for text in shown)
    assert model.secret.reveal() == "hunter2"


def test_secrets_compare_by_value_without_showing_it():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")
    with pytest.raises(TypeError):
        "a" in Secret("abc")  # noqa: B015


def test_a_secret_of_the_wrong_kind_is_not_shown():
    with pytest.raises(ValidationError) as caught:
        Model(secret=["hunter2"])
    assert "hunter2" not in str([one["msg"] for one in caught.value.errors(include_input=False)])


def test_a_secret_survives_copying():
    assert pickle.loads(pickle.dumps(Secret("a"))).reveal() == "a"
