"""The failure that users of Prometheus published, once and shorter: `python -m tests.faults.published` plays ten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import published
from tests.peers import catalogue
from tests.support.server import require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.prometheus, pytest.mark.slow]


def test_thirty_exporters_have_no_gap_after_a_long_cut_with_a_restart_in_it(
    kafka: KafkaPeer, kafka_prefix: str, tmp_path: Path
) -> None:
    require(catalogue.PROMETHEUS)
    run = published.play(tmp_path, kafka.brokers, kafka_prefix, cut_s=12.0, restart=True, peer=False)
    found = run.found["headrace"]
    assert found.gapless, found
    assert found.wanted > published.EXPORTERS * 6
