"""The configuration as the flags change it: for the agent's process and for the commands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.config.backends import Backend
    from pipeline.config.root import Config
    from pipeline.lifecycle.options import ConfigOptions, RoleOptions

DEFAULT_BROKERS = ("127.0.0.1:9092",)


def load(options: RoleOptions | ConfigOptions) -> Config:
    """The configuration with the flags' brokers and prefix in it. Raises ConfigError."""
    from pipeline.config.load import load as read  # noqa: PLC0415 — --help needs none of it

    config = read(options.config_file, promtail_file=options.promtail_file)
    brokers = options.brokers or config.kafka.brokers or DEFAULT_BROKERS
    prefix = options.prefix if options.prefix is not None else config.kafka.prefix
    kafka = config.kafka.model_copy(update={"brokers": brokers, "prefix": prefix})
    return config.model_copy(update={"kafka": kafka})


def named(config: Config, name: str) -> Backend:
    """The backend of that name. Raises ConfigError that lists those there are."""
    from pipeline.config.backends import backends  # noqa: PLC0415 — --help needs none of it
    from topics.errors import ConfigError, Problem  # noqa: PLC0415

    found = {backend.name: backend for backend in backends(config)}
    if name in found:
        return found[name]
    known = ", ".join(found) or "none"
    raise ConfigError([Problem("", 0, "", f"no backend is called {name!r}", f"the configuration has: {known}")])
