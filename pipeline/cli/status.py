"""`headrace status`."""

from __future__ import annotations

from pipeline.cli.become import become

command = become("agents.status", "Show how far each backend is, and whether its ledger closes.")
