"""docs/metrics.md says what the catalogue says."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.telemetry import catalogue, reference
from pipeline.telemetry.metrics import Metric

PAGE = (Path(__file__).parents[3] / reference.PAGE).read_text()


def test_the_page_is_what_the_catalogue_makes_of_it() -> None:
    assert reference.renewed(PAGE) == PAGE, "run: python -m pipeline.telemetry.reference"


def test_every_metric_that_an_alert_names_exists() -> None:
    names = {metric.name for metric in vars(catalogue).values() if isinstance(metric, Metric)}
    alerts = PAGE.partition(reference.BEGIN)[0]
    assert set(re.findall(r"headrace_\w+", alerts)) <= names
    assert re.findall(r"headrace_\w+", alerts)
