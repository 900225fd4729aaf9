"""docs/remote-write.md names no test that is not there, and every rule there that is kept has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/remote-write.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_what_the_page_names_is_there(path, name):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not name or name in names


def test_every_rule_that_is_kept_has_its_test():
    rows = [row for row in PAGE.splitlines() if row.startswith(("| 1.0", "| 2.0", "| as Prometheus"))]
    assert len(rows) > 20
    without = [row for row in rows if "`tests/" not in row]
    assert len(without) == 2  # the one that is not kept, and the one that forbids something nobody does
