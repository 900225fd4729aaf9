"""`tls_config`: what to trust, what to show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pipeline.config.environment import ExpandedFilePath, ExpandedSecret, ExpandedText
from pipeline.config.section import Fault, Foreign, NotYet, Section
from pipeline.config.units import Boolean

TLSVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


class TLSConfig(Section):
    """`tls_config`: what to trust, what to show."""

    ca: ExpandedText | None = None
    cert: ExpandedText | None = None
    key: ExpandedSecret | None = None
    ca_file: ExpandedFilePath | None = None
    cert_file: ExpandedFilePath | None = None
    key_file: ExpandedFilePath | None = None
    server_name: ExpandedText | None = None
    insecure_skip_verify: Boolean = False
    min_version: TLSVersion | None = None
    max_version: TLSVersion | None = None

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        "ca_ref": NotYet(remedy="use ca or ca_file"),
        "cert_ref": NotYet(remedy="use cert or cert_file"),
        "key_ref": NotYet(remedy="use key or key_file"),
    }

    def faults(self) -> Iterator[Fault]:
        """At most one source for each; a certificate and its key come together."""
        for name in ("ca", "cert", "key"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                yield Fault(f"at most one of {name} and {name}_file must be given", "remove one of the two")
        cert, key = bool(self.cert or self.cert_file), bool(self.key or self.key_file)
        if cert and not key:
            yield Fault("a client certificate without its key", "give key or key_file")
        if key and not cert:
            yield Fault("a client key without its certificate", "give cert or cert_file")
        if self.min_version and self.max_version and self.min_version > self.max_version:
            yield Fault("tls_config.max_version must be greater than or equal to tls_config.min_version", "raise it")
