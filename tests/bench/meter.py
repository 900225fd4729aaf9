"""What a process costs, read from /proc: CPU time and memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system time of all its threads so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def rss_mb(pid: int) -> float:
    """Resident memory now, in MB (10⁶ bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


@dataclass(slots=True)
class Meter:
    """One process, from the beginning of a measurement to its end."""

    name: str
    pid: int
    begin_s: float = 0.0
    spent_s: float = 0.0
    peak_mb: float = 0.0

    def start(self) -> None:
        """Begin to count."""
        self.begin_s = cpu_s(self.pid)
        self.peak_mb = 0.0

    def look(self) -> None:
        """Take a reading; the last one is the end."""
        self.spent_s = cpu_s(self.pid) - self.begin_s
        self.peak_mb = max(self.peak_mb, rss_mb(self.pid))
