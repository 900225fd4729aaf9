"""What discoverers of tests may use: a clock that stands still, metrics of their own."""

from __future__ import annotations

from pipeline.clock import Clock
from pipeline.discovery.discoverer import Surroundings, Trouble
from pipeline.telemetry import catalogue
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import FakeClock


def surroundings(kind: str, telemetry: Telemetry | None = None, clock: Clock | None = None) -> Surroundings:
    """As the manager makes them."""
    telemetry = telemetry or Telemetry()
    failures = telemetry.counter(catalogue.DISCOVERY_FAILURES)
    return Surroundings(clock or FakeClock(), telemetry, failures, Trouble(kind, failures))
