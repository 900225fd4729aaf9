"""Gets the peers that are missing: `python3 -m tests.peers.install [NAME…]`. Standard library only.

Debian packages come through apt when this user is root or has sudo without a password; Go programs are built when `go`
is there. What cannot be had is said at the end with its reason, and its tests skip; with CI=true it is a failure.
Nothing is done twice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.peers.catalogue import PEERS, DebianPeer, GoPeer, Peer

PROGRESS_S = 15.0
LOG_TAIL_LINES = 12

# The tests start each peer themselves, so a package must not start or enable a service of its own. `policy-rc.d` is how
# Debian asks the machine whether a package may start services at its installation; `systemctl disable` covers the next
# boot. A policy that the machine already has is left alone, and so is a package that was there before.
APT_INSTALL = """
set -e
package="$1"
if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
fi
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package"
if command -v systemctl >/dev/null; then
    systemctl disable "$package" >/dev/null 2>&1 || true
fi
"""


class CannotInstallError(Exception):
    """Why a peer could not be had, in words for the table at the end."""


def say(text: str) -> None:
    """One line of progress, at once."""
    sys.stdout.write(f"peers: {text}\n")
    sys.stdout.flush()


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say that `what` begins, every quarter minute that it still goes on, and how long it took."""
    began = time.monotonic()
    over = threading.Event()

    def tick() -> None:
        while not over.wait(PROGRESS_S):
            say(f"{what}: {time.monotonic() - began:.0f} s so far")

    say(what)
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()
        say(f"{what}: took {time.monotonic() - began:.0f} s")


def run(argv: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run to the end, output kept; raise CannotInstallError with the output's tail shown when it fails."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    for line in lines[-LOG_TAIL_LINES:]:
        say(f"    {line}")
    last = lines[-1] if lines else "no output"
    msg = f"{Path(argv[0]).name} ended with code {done.returncode}: {last}"
    raise CannotInstallError(msg)


class Apt:
    """Debian's package manager, asked for its lists at most once."""

    def __init__(self) -> None:
        self._refusal: str | None = None
        self._updated = False
        self._prefix: list[str] = []
        if shutil.which("apt-get") is None:
            self._refusal = "this system has no apt"
        elif os.geteuid() != 0:
            self._prefix = ["sudo", "-n"]
            if not _sudo_without_password():
                self._refusal = "apt needs root, and sudo is not there or asks for a password"

    def install(self, peer: DebianPeer) -> None:
        """Install the peer's package; no service of it is started or enabled."""
        if self._refusal:
            msg = f"{self._refusal}; install the package {peer.package} by hand"
            raise CannotInstallError(msg)
        if not self._updated:
            with progress("apt-get update"):
                run([*self._prefix, "apt-get", "update"])
            self._updated = True
        with progress(f"apt-get install {peer.package}"):
            run([*self._prefix, "sh", "-c", APT_INSTALL, "sh", peer.package])


def _sudo_without_password() -> bool:
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0


def build(peer: GoPeer) -> None:
    """Build the peer with Go into the cache: under another name first, so that a build cut short leaves nothing."""
    go = shutil.which("go")
    if go is None:
        msg = "Go is not installed (1.26 or newer; from 1.21 on it fetches the newer one itself)"
        raise CannotInstallError(msg)
    target = peer.target()
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.{os.getpid()}")
    # No cgo: no C compiler is needed, and it builds quicker. -mod=readonly: go.mod and go.sum say what is built.
    env = {**os.environ, "CGO_ENABLED": "0"}
    try:
        with progress(f"go build {peer.name} {peer.version} (minutes, once)"):
            argv = [go, "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(half), peer.package]
            run(argv, cwd=peer.folder, env=env)
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)


def obtain(peer: Peer, apt: Apt) -> str:
    """Make sure of one peer. Returns "" when it is there, else why it is not."""
    if peer.program():
        return ""
    try:
        if isinstance(peer, DebianPeer):
            apt.install(peer)
        elif isinstance(peer, GoPeer):
            build(peer)
        else:
            return "comes with the environment: make setup"
    except CannotInstallError as error:
        return str(error)
    return "" if peer.program() else "installed, but its program is not where it should be"


def table(reasons: dict[str, str]) -> list[str]:
    """The lines of the closing table: each peer, and what is or is not there."""
    lines = []
    for peer in PEERS:
        if peer.name not in reasons:
            continue
        reason = reasons[peer.name]
        what = f"MISSING, tests marked {peer.marker} skip: {reason}" if reason else str(peer.program())
        lines.append(f"  {peer.name:18} {peer.version:8} {what}")
    return lines


def main(names: Sequence[str]) -> int:
    """Get the named peers, or all. Returns 1 only when one is missing in CI."""
    known = {peer.name: peer for peer in PEERS}
    if unknown := [name for name in names if name not in known]:
        say(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    apt = Apt()
    reasons = {name: obtain(known[name], apt) for name in names or known}
    for line in table(reasons):
        say(line)
    missing = [name for name, reason in reasons.items() if reason]
    if missing and os.environ.get("CI") == "true":
        say(f"CI is true, so a missing peer is a failure: {', '.join(missing)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
