"""What every process of a run has imported before it is forked; see hatch.py. Imported by multiprocessing's fork server
and by nobody else: it makes the clock of its process one that can be stepped.
"""

from __future__ import annotations

import importlib

from tests.faults.schedules import stepped

stepped.install()

for name in (
    "agents.__main__",
    "agents.role",
    "pipeline.clock",
    "pipeline.lifecycle.main",
    "pipeline.telemetry.metrics",
    "tests.faults.schedules.parts",
):
    importlib.import_module(name)
