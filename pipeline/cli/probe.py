"""`headrace check healthy|ready`: ask a running role; for container probes where there is no curl."""

from __future__ import annotations

import urllib.error
import urllib.request

import click

from pipeline.lifecycle.options import DEFAULT_ADDRESSES

_URL = click.option(
    "--url", default=f"http://{DEFAULT_ADDRESSES['run']}", show_default=True, help="Where the role listens."
)
_TIMEOUT = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Seconds to wait."
)


@click.command("healthy")
@_URL
@_TIMEOUT
@click.pass_context
def healthy(ctx: click.Context, url: str, timeout_s: float) -> None:
    """Exit 0 when the role answers, else 1."""
    _probe(ctx, url, "/-/healthy", timeout_s)


@click.command("ready")
@_URL
@_TIMEOUT
@click.pass_context
def ready(ctx: click.Context, url: str, timeout_s: float) -> None:
    """Exit 0 when the role does its work, else 1, saying why not."""
    _probe(ctx, url, "/-/ready", timeout_s)


def _probe(ctx: click.Context, url: str, path: str, timeout_s: float) -> None:
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must begin with http:// or https://", param_hint="--url")
    try:
        with urllib.request.urlopen(url.rstrip("/") + path, timeout=timeout_s) as answer:  # noqa: S310 — checked above
            click.echo(answer.read().decode(errors="replace").strip())
    except urllib.error.HTTPError as error:
        click.echo(error.read().decode(errors="replace").strip() or str(error), err=True)
        ctx.exit(1)
    except OSError as error:
        click.echo(f"{url} does not answer: {error}", err=True)
        ctx.exit(1)
