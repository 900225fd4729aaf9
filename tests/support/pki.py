"""A small public-key infrastructure by openssl: an authority, a server for localhost, a client; as PEM files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SERVER_NAMES = "subjectAltName=DNS:localhost,DNS:backend.test"


def make_pki(folder: Path, *, names: str = SERVER_NAMES) -> Path:
    """`ca.pem`, and `server` and `client` with `.pem` and `.key` each, in `folder`."""
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run(folder, "req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-days", "2")
    for name in ("server", "client"):
        run(folder, "req", *ec, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "ext").write_text(names)
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext"]
        run(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
    return folder


def run(folder: Path, *argv: str) -> None:
    """One openssl command."""
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)
