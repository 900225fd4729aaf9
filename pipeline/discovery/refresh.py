"""The rhythm of discoverers that ask again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.discovery.discoverer import DiscoveryFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pipeline.discovery.discoverer import Publish, Surroundings
    from pipeline.discovery.target_group import TargetGroup


async def refresh(
    look: Callable[[], Awaitable[Sequence[TargetGroup]]], interval_s: float, around: Surroundings, publish: Publish
) -> None:
    """`look` at once and then every `interval_s`, until cancelled; publish what it finds.

    When `look` raises DiscoveryFailed, that is told as trouble, and what was published stays.
    """
    while True:
        began = around.clock.monotonic()
        try:
            groups = await look()
        except DiscoveryFailed as error:
            around.trouble.failed(str(error))
        else:
            around.trouble.over()
            publish(groups)
        await around.clock.sleep(max(0.0, began + interval_s - around.clock.monotonic()))
