"""An OAuth 2.0 token server on a loopback port, which checks what it is shown by code of its own."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote_plus

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping


class TokenServer:
    """Gives `token-1`, `token-2`, … to whoever shows `client` and `secret`. `form` is the last form that came.

    `style`: how credentials are taken, ``header`` or ``body``. `answer` replaces the fields of a good answer.
    """

    def __init__(self, *, style: str = "header", tls: ssl.SSLContext | None = None) -> None:
        self.client, self.secret = "id &", "s3cret/+"
        self.style = style
        self.expires_in: int | str | None = 3600
        self.fields: dict[str, Any] = {}
        self.status = 200
        self.given = 0
        self.requests = 0
        self.form: dict[str, str] = {}
        self.headers: Mapping[str, str] = {}
        self.public_key_pem: str = ""
        self.claims: dict[str, Any] = {}
        self.jwt_head: dict[str, Any] = {}
        self._tls = tls
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/token", self._token)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def address(self) -> str:
        """`host:port`."""
        assert self._runner is not None
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"{'https' if self._tls else 'http'}://{self.address}/token"

    @property
    def token(self) -> str:
        """The token that was given last."""
        return f"token-{self.given}"

    async def _token(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.form = {name: str(value) for name, value in (await request.post()).items()}
        self.headers = request.headers
        if self.status != 200:
            return web.json_response({"error": "invalid_scope", "error_description": self.secret}, status=self.status)
        if not (self._signed() if self.public_key_pem else self._known(request)):
            return web.json_response({"error": "invalid_client"}, status=401)
        self.given += 1
        fields: dict[str, Any] = {"access_token": self.token, "token_type": "bearer"}
        if self.expires_in is not None:
            fields["expires_in"] = self.expires_in
        return web.json_response(fields | self.fields)

    def _known(self, request: web.Request) -> bool:
        if self.form.get("grant_type") != "client_credentials":
            return False
        if self.style == "body":
            return (self.form.get("client_id"), self.form.get("client_secret")) == (self.client, self.secret)
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":")
        return (scheme, unquote_plus(name), unquote_plus(secret)) == ("Basic", self.client, self.secret)

    def _signed(self) -> bool:
        """Whether openssl finds the assertion signed by the key."""
        head, claims, signature = self.form.get("assertion", "..").split(".")
        self.jwt_head, self.claims = json.loads(_raw(head)), json.loads(_raw(claims))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "key").write_text(self.public_key_pem)
            (folder / "signature").write_bytes(_raw(signature))
            (folder / "text").write_text(f"{head}.{claims}")
            digest = f"-sha{self.jwt_head['alg'].removeprefix('RS')}"
            argv = ["openssl", "dgst", digest, "-verify", "key", "-signature", "signature", "text"]
            return subprocess.run(argv, cwd=folder, capture_output=True, check=False).returncode == 0


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
