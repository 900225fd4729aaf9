"""What a demo was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations in seconds. `storage` None: a temporary folder that goes when the demo ends.

    `requests_per_s` goes through each Envoy. `sabotage` names a mode of the sink that loses data on purpose (tests).
    `real_backends`: add Prometheus and VictoriaMetrics where they are installed.
    """

    steady_s: float = 30.0
    outage_s: float = 20.0
    after_s: float = 5.0
    start_timeout_s: float = 300.0
    drain_timeout_s: float = 120.0
    requests_per_s: float = 40.0
    keep: bool = False
    plain: bool = False
    storage: Path | None = None
    real_backends: bool = True
    sabotage: str = ""
