"""promtool's verdicts over a folder of files."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_AT_ONCE = 1500


def verdicts(program: Path, folder: Path, names: Sequence[str]) -> dict[str, bool]:
    """Whether promtool takes each file. One on which it crashes, and there are such, it does not take."""
    found: dict[str, bool] = {}
    waiting = list(names)
    while waiting:
        argv = [str(program), "check", "config", *waiting[:_AT_ONCE]]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        seen = re.findall(r"^Checking (\S+)$", done.stdout, re.MULTILINE)
        assert seen, done.stderr
        found |= dict.fromkeys(seen, False)
        found |= dict.fromkeys(re.findall(r"SUCCESS: (\S+) is valid", done.stdout), True)
        waiting = waiting[len(seen) :]
    return found
