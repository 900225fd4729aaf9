"""`headrace replay`."""

from __future__ import annotations

from pipeline.cli.become import become

command = become("agents.replay", "Send what Kafka holds of a time range to one backend again.")
