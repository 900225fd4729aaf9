"""A real nginx, unprivileged in its own folder: serves files as scrape targets, answers pushes with 204."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.server import Server

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
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
