"""Fixtures that every test may ask for live in `tests/support`; they are made known here. Quick tests run first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

pytest_plugins = ("tests.support.peers", "tests.support.kafka", "tests.support.agent_work")

_HERE = Path(__file__).parent
_ORDER = ("unit", "conformance", "integration", "e2e", "faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes milliseconds comes before what takes seconds: a mistake shows early."""
    items.sort(key=_kind)


def _kind(item: pytest.Item) -> int:
    folder = item.path.relative_to(_HERE).parts[0]
    return _ORDER.index(folder) if folder in _ORDER else len(_ORDER)
