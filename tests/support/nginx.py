"""A real nginx, unprivileged in its own folder: serves files as scrape targets, answers pushes with 204."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.server import Server, free_port

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 12000; }}
http {{
    access_log off;
    default_type "text/plain; version=0.0.4; charset=utf-8";
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        location = /-/ready {{ return 200 "ready\\n"; }}
        location = /push {{ return 204; }}
        location = /push2 {{ add_header X-Prometheus-Remote-Write-Samples-Written 1000000000; return 204; }}
        location /openmetrics/ {{ default_type "application/openmetrics-text; version=1.0.0; charset=utf-8"; }}
    }}
}}
"""


class Nginx(Server):
    """Files written by `serve` are answered at their path; `push_url` swallows any POST."""

    name = "nginx"
    ready_path = "/-/ready"

    def __init__(self, program: Path) -> None:
        super().__init__(program)
        self.root = self.folder / "www"
        self.root.mkdir()

    def prepare(self) -> None:
        """Write the configuration."""
        text = _CONFIG.format(folder=self.folder, port=self.port, root=self.root)
        (self.folder / "nginx.conf").write_text(text)

    def argv(self) -> list[str]:
        """Nothing of the system's nginx is read or written."""
        return [str(self.program), "-p", str(self.folder), "-e", "stderr", "-c", str(self.folder / "nginx.conf")]

    @property
    def target(self) -> str:
        """`host:port`, for scrape configs."""
        return f"127.0.0.1:{self.port}"

    @property
    def push_url(self) -> str:
        """Answers every POST with 204."""
        return f"{self.url}/push"

    def serve(self, path: str, body: bytes) -> None:
        """Answer `path` with `body` from now on. Atomic: a scrape in between gets the old or the new body whole."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_name(f".{file.name}.half")
        half.write_bytes(body)
        half.replace(file)


_SECURE = """\
    server {{
        listen 127.0.0.1:{tls_port} ssl;
        root {root};
        ssl_certificate {pki}/server.pem;
        ssl_certificate_key {pki}/server.key;
        ssl_protocols {protocols};
        ssl_ciphers DEFAULT:@SECLEVEL=0;
        ssl_client_certificate {pki}/ca.pem;
        ssl_verify_client {verify};
        add_header X-Protocol $ssl_protocol;
        add_header X-Client $ssl_client_serial;
        location /secret/ {{ auth_basic "targets"; auth_basic_user_file {pki}/users; }}
    }}
}}
"""


class SecureNginx(Nginx):
    """An nginx that also listens with TLS, by the certificates in `pki` (see pki.py).

    With `verify` on it wants a client certificate. What lies below `/secret/` wants a user of the file `users`.
    """

    def __init__(self, program: Path, pki: Path, *, verify: bool = False, protocols: str = "TLSv1.2 TLSv1.3") -> None:
        super().__init__(program)
        self.pki = pki
        self.tls_port = free_port()
        self._verify = "on" if verify else "off"
        self._protocols = protocols

    def prepare(self) -> None:
        """Write the configuration."""
        super().prepare()
        path = self.folder / "nginx.conf"
        more = _SECURE.format(
            tls_port=self.tls_port, root=self.root, pki=self.pki, verify=self._verify, protocols=self._protocols
        )
        path.write_text(path.read_text().rstrip().removesuffix("}") + more)

    @property
    def tls_url(self) -> str:
        """Its base URL with TLS; the certificate names localhost."""
        return f"https://localhost:{self.tls_port}"
