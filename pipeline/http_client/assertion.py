"""A signed JSON Web Token (RFC 7515, compact form) from an RSA key in PEM."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pipeline.http_client.errors import CredentialsUnreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

_HASHES: Mapping[str, type[hashes.HashAlgorithm]] = {
    "RS256": hashes.SHA256,
    "RS384": hashes.SHA384,
    "RS512": hashes.SHA512,
}


def signed(claims: Mapping[str, Any], key_pem: str, algorithm: str, key_id: str = "") -> str:
    """The token. `algorithm`: RS256, RS384 or RS512. Raises CredentialsUnreadable for a key that is none."""
    try:
        key = load_pem_private_key(key_pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CredentialsUnreadable("oauth2.client_certificate_key: not an RSA key in PEM") from None
    if not isinstance(key, RSAPrivateKey):
        raise CredentialsUnreadable("oauth2.client_certificate_key: not an RSA key in PEM")
    head = {"alg": algorithm, "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    text = f"{_part(head)}.{_part(claims)}"
    return f"{text}.{_encoded(key.sign(text.encode(), padding.PKCS1v15(), _HASHES[algorithm]()))}"


def _part(value: Mapping[str, Any]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
