from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.discovery.resolv_conf import ResolvConf, read_resolv_conf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolvConf()),
        ("# comment\n; another\nnameserver 10.0.0.1\nnameserver fd00::1\n", ResolvConf(("10.0.0.1", "fd00::1"))),
        ("domain a.example\n", ResolvConf(search=("a.example",))),
        ("domain a.example\nsearch b.example c.example\n", ResolvConf(search=("b.example", "c.example"))),
        ("search svc.cluster.local cluster.local\noptions ndots:5 timeout:1\n",
         ResolvConf(search=("svc.cluster.local", "cluster.local"), ndots=5)),
        ("options rotate ndots:99\n", ResolvConf(ndots=15)),
        ("options ndots:-1\n", ResolvConf(ndots=1)),
        ("nameserver\n", ResolvConf()),
    ],
)  # fmt: skip
def test_what_the_file_says(tmp_path: Path, text: str, expected: ResolvConf) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert read_resolv_conf(str(path)) == expected


@pytest.mark.parametrize(
    ("name", "ndots", "search", "expected"),
    [
        ("db.", 1, ("a.example",), ["db."]),
        ("db", 1, ("a.example", "b.example."), ["db.a.example.", "db.b.example.", "db."]),
        ("db.prod", 1, ("a.example",), ["db.prod.", "db.prod.a.example."]),
        ("db.prod", 5, ("a.example",), ["db.prod.a.example.", "db.prod."]),
        ("db", 0, ("a.example",), ["db.", "db.a.example."]),
        ("db", 1, (".",), ["db.", "db."]),
        ("db", 1, (), ["db."]),
    ],
)
def test_the_names_to_try(name: str, ndots: int, search: tuple[str, ...], expected: list[str]) -> None:
    assert list(ResolvConf(search=search, ndots=ndots).candidates(name)) == expected
