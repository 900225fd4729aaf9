"""`headrace kafka`: the embedded broker alone."""

from __future__ import annotations

import click

from pipeline.lifecycle.options import RoleOptions, role_options


@click.command()
@role_options("kafka", configured=False)
@click.option(
    "--kafka.port", "port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="0: a free one."
)
@click.option("--kafka.java", "java", help="The java to run it with. [the one that comes with headrace]")
def command(options: RoleOptions, port: int, java: str | None) -> None:
    """Run the real Apache Kafka, one node, data under --storage.path: for laptops and tests, never for production."""
    from pipeline.clock import SystemClock  # noqa: PLC0415 — --help needs none of these
    from pipeline.devbroker.server import EmbeddedKafka  # noqa: PLC0415
    from pipeline.lifecycle.main import leave, serve  # noqa: PLC0415
    from pipeline.roles.kafka_keeper import KafkaKeeper  # noqa: PLC0415
    from pipeline.roles.kafka_role import KafkaRole  # noqa: PLC0415
    from pipeline.roles.storage import locked  # noqa: PLC0415
    from pipeline.telemetry.metrics import Telemetry  # noqa: PLC0415

    options.setup_logging("kafka")

    def make(again: int) -> EmbeddedKafka:
        return EmbeddedKafka(options.storage / "kafka", port=again or port, java=java)

    with locked(options.storage):
        code = serve(
            KafkaRole(KafkaKeeper(make, SystemClock())),
            telemetry=Telemetry(),
            listen_address=options.listen_address,
            address_file=options.address_file,
            deadline_s=options.deadline_s,
        )
    leave(code)
