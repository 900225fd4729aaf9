from __future__ import annotations

import math
import struct

import pytest

from pipeline.textparse.floats import NORMAL_NAN_BITS, format_openmetrics, parse_go, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1.0),
        (b"+1.5e3", 1500.0),
        (b".5", 0.5),
        (b"5.", 5.0),
        (b"1e-400", 0.0),
        (b"9007199254740993", 9007199254740992.0),
        (b"Inf", math.inf),
        (b"+infinity", math.inf),
        (b"-iNf", -math.inf),
    ],
)
def test_numbers_that_go_reads(text: bytes, value: float) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" 1",
        b"1 ",
        b"1_0",
        b"0x10",
        b"0x1p4",
        b"1e400",
        b"-1e400",
        b"+nan",
        b"-nan",
        b"infinit",
        b"1e",
        b".",
        b"\xd9\xa1",
    ],
)
def test_what_python_might_read_but_prometheus_refuses(text: bytes) -> None:
    assert parse_value(text) is None


def test_every_nan_becomes_the_normal_one() -> None:
    value = parse_value(b"nAn")
    assert value is not None
    assert struct.pack(">d", value).hex() == f"{NORMAL_NAN_BITS:x}"


def test_the_sign_of_zero_is_kept() -> None:
    value = parse_value(b"-0")
    assert value is not None
    assert math.copysign(1, value) == -1


def test_label_values_may_be_hexadecimal_floats() -> None:
    assert parse_go(b"0x1p3") == 8.0
    assert parse_go(b"0x10") is None
    assert parse_go(b"0x1p99999") is None


def test_label_values_may_group_digits() -> None:
    assert parse_go(b"1_000.5") == 1000.5
    assert parse_go(b"0x_1_0p0") == 16.0
    assert parse_go(b"1__0") is None
    assert parse_go(b"_1") is None
    assert parse_go(b"1_") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (-1.0, "-1.0"),
        (0.5, "0.5"),
        (100000.0, "100000.0"),
        (1e6, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (0.0001, "0.0001"),
        (1e-5, "1e-05"),
        (1.5e300, "1.5e+300"),
        (123456.789, "123456.789"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_canonical_text_of_bucket_bounds(value: float, text: str) -> None:
    assert format_openmetrics(value) == text
