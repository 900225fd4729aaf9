"""`headrace dlq`."""

from __future__ import annotations

from pipeline.cli.become import become

command = become("agents.dlq", "Dead letters: list them, show them, send them again, drop them.")
