"""The flags that every long-running role has, in Prometheus's dotted style.

They stand here, below both `cli` and `agents`, because both parse them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.telemetry import logging as log_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.telemetry.outlet import Outlet

    _Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DEFAULT_CONFIG = Path("headrace.yml")
DEFAULT_STORAGE = Path("headrace-data")
# One default port for each role, so that they can share a machine.
DEFAULT_ADDRESSES = {
    "run": "127.0.0.1:9095",
    "scraper": "127.0.0.1:9096",
    "tailer": "127.0.0.1:9097",
    "agent": "127.0.0.1:9098",
    "kafka": "127.0.0.1:9089",
}
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class RoleOptions:
    """The common flags as given. `brokers` and `prefix` are None where the configuration decides."""

    config_file: Path
    promtail_file: Path | None
    brokers: tuple[str, ...] | None
    prefix: str | None
    storage: Path
    listen_address: str
    address_file: Path | None
    log_level: str
    log_format: str
    deadline_s: float

    def setup_logging(self, component: str) -> Outlet:
        """Send this process's log lines to stderr under the name `component`; the outlet takes other lines too."""
        return log_lines.setup(self.log_level, self.log_format, component)


@dataclass(frozen=True, slots=True)
class ConfigOptions:
    """The flags of a command that is no role: which configuration, which Kafka."""

    config_file: Path
    promtail_file: Path | None
    brokers: tuple[str, ...] | None
    prefix: str | None


def config_options(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a click callback: adds the flags about configuration and brokers as one `options: ConfigOptions`."""

    @functools.wraps(callback)
    def with_options(**given: Any) -> Any:
        options = ConfigOptions(
            config_file=given.pop("config_file"),
            promtail_file=given.pop("promtail_file"),
            brokers=_brokers(given.pop("brokers")),
            prefix=_prefix(given.pop("prefix")),
        )
        return callback(options=options, **given)

    decorated: Callable[..., Any] = with_options
    for option in reversed(_config_flags()):
        decorated = option(decorated)
    return decorated


def role_options(role: str, *, configured: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a click callback: adds the common flags, hands them over as one `options: RoleOptions`.

    `configured` False leaves out the flags about configuration and brokers (a sink, the broker itself).
    """

    def decorate(callback: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(callback)
        def with_options(**given: Any) -> Any:
            options = RoleOptions(
                config_file=given.pop("config_file", DEFAULT_CONFIG),
                promtail_file=given.pop("promtail_file", None),
                brokers=_brokers(given.pop("brokers", None)),
                prefix=_prefix(given.pop("prefix", None)),
                storage=given.pop("storage"),
                listen_address=_address(given.pop("listen_address")),
                address_file=given.pop("address_file"),
                log_level=given.pop("log_level"),
                log_format=given.pop("log_format"),
                deadline_s=given.pop("deadline_s"),
            )
            return callback(options=options, **given)

        decorated: Callable[..., Any] = with_options
        for option in reversed([*(_config_flags() if configured else []), *_process_flags(role)]):
            decorated = option(decorated)
        return decorated

    return decorate


def _config_flags() -> list[_Decorator]:
    return [
        click.option("--config.file", "config_file", type=_FILE, default=DEFAULT_CONFIG, show_default=True,
                     help="Configuration; a prometheus.yml works unchanged."),
        click.option("--promtail.config-file", "promtail_file", type=_FILE, help="A Promtail file, unchanged."),
        click.option("--kafka.brokers", "brokers", metavar="HOST:PORT,…", help="Brokers; win over the file's."),
        click.option("--kafka.prefix", "prefix", help="Names topics and groups; wins over the file's. [headrace.]"),
    ]  # fmt: skip


def _process_flags(role: str) -> list[_Decorator]:
    return [
        click.option("--storage.path", "storage", type=click.Path(path_type=Path, file_okay=False),
                     default=DEFAULT_STORAGE, show_default=True, help="Folder for what must survive a restart."),
        click.option("--web.listen-address", "listen_address", default=DEFAULT_ADDRESSES[role], show_default=True,
                     metavar="HOST:PORT", help="Pages and metrics; port 0 picks a free one."),
        click.option("--web.address-file", "address_file", type=_FILE, hidden=True),
        click.option("--log.level", "log_level", type=click.Choice(log_lines.LEVELS), default="info",
                     show_default=True),
        click.option("--log.format", "log_format", type=click.Choice(log_lines.FORMATS), default="logfmt",
                     show_default=True),
        click.option("--stop.deadline", "deadline_s", type=click.FloatRange(0.1), default=12.0, hidden=True),
    ]  # fmt: skip


def _brokers(given: str | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    brokers = tuple(part.strip() for part in given.split(",") if part.strip())
    if not brokers:
        raise click.BadParameter("is empty: write host:port, several with commas", param_hint="--kafka.brokers")
    from pipeline.config.kafka import is_broker  # noqa: PLC0415 — --help needs none of it

    wrong = [broker for broker in brokers if not is_broker(broker)]
    if wrong:
        message = f"not a broker address: {wrong[0]!r}: write host:port, several with commas"
        raise click.BadParameter(message, param_hint="--kafka.brokers")
    return brokers


def _prefix(given: str | None) -> str | None:
    if given is None:
        return None
    from pipeline.config.kafka import is_prefix  # noqa: PLC0415 — --help needs none of it

    if not is_prefix(given):
        message = f"{given!r} cannot begin topic names: use at most 100 of the characters a-z A-Z 0-9 . _ -"
        raise click.BadParameter(message, param_hint="--kafka.prefix")
    return given


def _address(given: str) -> str:
    from pipeline.web.server import parse_address  # noqa: PLC0415 — --help needs none of it
    from topics.errors import ListenFailed  # noqa: PLC0415

    try:
        parse_address(given)
    except ListenFailed as error:
        raise click.BadParameter(str(error), param_hint="--web.listen-address") from None
    return given
