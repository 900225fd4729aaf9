"""`tls_config` as an SSL context, made anew when a certificate on disk changes."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.http_client.errors import BadTLS, CredentialsUnreadable
from pipeline.http_client.secret_file import Signature, signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config.http import TLSConfig
    from pipeline.config.units import Secret

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class TLSContext:
    """The context of one `tls_config`. Rotated files take effect with the next request; old connections live out."""

    def __init__(self, config: TLSConfig) -> None:
        self._config = config
        files = {key: getattr(config, key) for key in ("ca_file", "cert_file", "key_file")}
        self._files = tuple(Path(file) for file in files.values() if file)
        self._names = tuple(f"tls_config.{key}: {file}" for key, file in files.items() if file)
        self._signature: Signature = ()
        self._context: ssl.SSLContext | None = None

    @property
    def server_name(self) -> str | None:
        """The name to ask for and to check, where it is not the URL's host."""
        return self._config.server_name or None

    def current(self) -> ssl.SSLContext:
        """The context to connect with. Raises CredentialsUnreadable for missing or unusable files."""
        now = signature(self._files, self._names)
        if self._context is None or now != self._signature:
            self._context = build(self._config)
            self._signature = now
        return self._context


def build(config: TLSConfig) -> ssl.SSLContext:
    """A client's context as Prometheus builds it: the system's authorities unless `ca` or `ca_file` is given."""
    context = _with_authorities(config)
    # On by default from Python 3.13 on: it refuses private authorities without a key usage, which Prometheus
    # (Go) accepts. A file that works there works here, on every Python.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.hostname_checks_common_name = False  # as Go: names stand in the certificate's SAN
    _bound(context, config)
    _add_identity(context, config)
    return context


def _bound(context: ssl.SSLContext, config: TLSConfig) -> None:
    """Keep to `min_version` and `max_version`."""
    if {config.min_version, config.max_version} & {"TLS10", "TLS11"}:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL 3 has no such version at its usual level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # whoever writes TLS10 into a file knows its age
        if config.min_version:
            context.minimum_version = VERSIONS[config.min_version]
        if config.max_version:
            context.maximum_version = VERSIONS[config.max_version]


def _with_authorities(config: TLSConfig) -> ssl.SSLContext:
    try:
        if config.ca:
            return ssl.create_default_context(cadata=config.ca)
        return ssl.create_default_context(cafile=str(config.ca_file) if config.ca_file else None)
    except FileNotFoundError:
        raise CredentialsUnreadable(f"tls_config.ca_file: {config.ca_file}: no such file") from None
    except (ssl.SSLError, ValueError):
        where = "tls_config.ca" if config.ca else f"tls_config.ca_file: {config.ca_file}"
        raise BadTLS(f"{where}: holds no PEM certificate") from None


def _add_identity(context: ssl.SSLContext, config: TLSConfig) -> None:
    if not (config.cert_file or config.cert):
        return
    try:
        with _as_file(config.cert, config.cert_file) as cert, _as_file(config.key, config.key_file) as key:
            assert cert is not None
            # An empty password keeps OpenSSL from asking on the terminal for the one of an encrypted key.
            context.load_cert_chain(cert, key, password=lambda: "")
    except FileNotFoundError:
        raise CredentialsUnreadable(f"tls_config: {config.cert_file} or {config.key_file}: no such file") from None
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise CredentialsUnreadable(f"tls_config: client certificate and key do not load ({reason})") from None


@contextlib.contextmanager
def _as_file(inline: str | Secret | None, path: str | Path | None) -> Iterator[str | None]:
    """A path for OpenSSL, which reads identities from files alone. Inline ones lie on disk only while they are read."""
    if not inline:
        yield str(path) if path else None
        return
    text = inline if isinstance(inline, str) else inline.reveal()
    handle, name = tempfile.mkstemp(prefix="headrace-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        yield name
    finally:
        Path(name).unlink()
