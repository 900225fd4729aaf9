"""Programs with mounts of their own: another root for a service account, a small disk that is full."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest


def with_mounts(script: str, *arguments: str) -> tuple[str, ...]:
    """What to put before a program, so that it sees what the shell script has mounted, and nobody else does.

    `script` finds `arguments` as $0, $1 …; what comes after them is the program, for it to `exec`. An ordinary user may
    do so where the system has user namespaces, root where it may mount. Elsewhere the test skips; in CI it fails.
    """
    flags = _flags()
    if not flags:
        reason = "this system lets nobody here have mounts of their own (unshare --mount)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}: CI must run as root, or with user namespaces", pytrace=False)
        pytest.skip(reason)
    return (*flags, "sh", "-c", script, *arguments)


@cache
def _flags() -> tuple[str, ...]:
    """How mounts of our own are to be had here; empty if not at all."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    for flags in (("--user", "--map-root-user", "--mount"), ("--mount",)):
        trial = [unshare, *flags, "mount", "-t", "tmpfs", "none", "/mnt"]
        if subprocess.run(trial, check=False, capture_output=True).returncode == 0:
            return (unshare, *flags)
    return ()
