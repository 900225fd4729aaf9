"""`headrace agent`."""

from __future__ import annotations

from pipeline.cli.become import become

command = become("agents", "Deliver from Kafka to one backend.")
