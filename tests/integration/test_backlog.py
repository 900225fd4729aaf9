"""A backlog takes no more memory the longer it is; small records, the worst case: each has its price in every queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench.backlog import SMALL, drain

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kafka import KafkaPeer
    from tests.support.nginx import Nginx

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_memory_does_not_depend_on_the_length_of_the_backlog(tmp_path: Path, kafka: KafkaPeer, nginx: Nginx):
    short = drain(kafka, tmp_path, nginx.push_url, "short", SMALL, 1_000_000)
    long = drain(kafka, tmp_path, nginx.push_url, "long", SMALL, 3_000_000)
    assert long.rss_mb < short.rss_mb * 1.1, f"{short.rss_mb:.0f} MB, {long.rss_mb:.0f} MB"
