"""The tailer's bounds and rhythms. Times in seconds, sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class LineLimits:
    """Promtail's `limits_config`. `max_line_bytes` 0: no limit but the tailer's own; `truncate`: longer lines are cut,
    else dropped. Beyond `readline_rate` lines a second, lines are dropped if `readline_rate_drop`, else reading waits.
    """

    max_line_bytes: int = 0
    truncate: bool = False
    readline_rate_enabled: bool = False
    readline_rate: float = 10_000.0
    readline_burst: int = 10_000
    readline_rate_drop: bool = True


@dataclass(frozen=True, slots=True)
class TailOptions:
    """Defaults are Promtail's where Promtail has the setting.

    Memory: at most `rounds_in_flight` rounds of `round_bytes` wait for Kafka, whatever the number of files; a round
    may go over by one block and one line.
    """

    block_bytes: int = 256 * KIB
    """What is read from one file before the next one has its turn."""
    round_bytes: int = 4 * 1024 * KIB
    """What is handed to Kafka in one go."""
    rounds_in_flight: int = 2
    max_line_bytes: int = 1024 * KIB
    """A longer line is cut to this, and counted; a joined CRI line likewise."""
    poll_s: float = 0.25
    """How often each file is looked at for new bytes and for rotation (Promtail's `min_poll_frequency`)."""
    rescan_s: float = 1.0
    """How often the globs are looked at for new files, where the kernel does not tell of them."""
    rescan_told_s: float = 5.0
    """How often all the same where it does."""
    rotate_wait_s: float = 5.0
    """How long a rotated or deleted file stays open after its last byte, for writers that are late."""
    max_held_files: int = 128
    """Rotated files of one path that are held open while Kafka is away, so that deleting them loses nothing."""
    save_interval_s: float = 0.1
    """The shortest time between two writes of the positions file."""
    limits: LineLimits = LineLimits()
    """What is asked of the length and the rate of lines."""
