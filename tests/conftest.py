"""Fixtures that every test may ask for live in `tests/support`; they are made known here."""

from __future__ import annotations

import importlib.util

_SUPPORT = ("tests.support.peers", "tests.support.kafka")
pytest_plugins = [name for name in _SUPPORT if importlib.util.find_spec(name)]
