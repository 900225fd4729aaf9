"""`python -P -m agents --backend NAME …`: the process of one agent. `headrace agent` becomes this."""

from __future__ import annotations

import asyncio
import logging
import sys

import click
import uvloop

from agents.loading import load
from pipeline.heap import share_one
from pipeline.lifecycle.early import answer_signals_early
from pipeline.lifecycle.garbage import left_alone
from pipeline.lifecycle.options import RoleOptions, role_options


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--backend", required=True, metavar="NAME", help="The backend to deliver to, by its name.")
@click.option(
    "--group.instance-id",
    "instance_id",
    default="",
    metavar="ID",
    help="Static membership: a restart under the same ID takes its partitions up at once. One process an ID.",
)
@role_options("agent")
def main(backend: str, instance_id: str, options: RoleOptions) -> None:
    """Deliver from Kafka to one backend: remote_write or logs.clients of the configuration, by name."""
    share_one()
    with left_alone():
        from agents.role import AgentRole  # noqa: PLC0415 — --help needs none of these
        from pipeline.clock import SystemClock  # noqa: PLC0415
        from pipeline.lifecycle.main import leave, serve  # noqa: PLC0415
        from pipeline.telemetry.metrics import Telemetry  # noqa: PLC0415
        from topics.errors import ConfigError  # noqa: PLC0415

    telemetry = Telemetry()
    try:
        role = AgentRole(
            backend,
            lambda: load(options),
            telemetry=telemetry,
            clock=SystemClock(),
            instance_id=instance_id,
            stop_s=options.deadline_s,
        )
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    options.setup_logging(role.name)
    # Faust runs its consumer in a thread with a loop of its own, made by the policy: asyncio's own loop costs more.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    # Says nothing but that a commit took longer than the interval between two, as it does on a busy machine.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)
    code = serve(
        role,
        telemetry=telemetry,
        listen_address=options.listen_address,
        address_file=options.address_file,
        deadline_s=options.deadline_s,
    )
    leave(code)


if __name__ == "__main__":
    answer_signals_early()
    main(prog_name="headrace agent")
