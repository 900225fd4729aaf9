"""aiokafka asks which offsets are committed, and takes an error for "none".

OffsetFetch answers with an error of its own beside those of the partitions, since its version 2; aiokafka 0.14 reads
only the latter. A coordinator that is loading, or is another broker by now, then reads as a group that has never
committed anything, and everything in the topic would be delivered again.
"""

from __future__ import annotations

from typing import Any

from aiokafka.errors import GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

_ELSEWHERE = (NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError)


def see_errors(consumer: Any) -> None:
    """Let a started consumer's group coordinator raise them: aiokafka asks again after those that pass."""
    coordinator = consumer._coordinator  # noqa: SLF001
    send = coordinator._send_req  # noqa: SLF001
    if getattr(send, "sees_errors", False):
        return

    async def checked(request: Any) -> Any:
        answer = await send(request)
        code = getattr(answer, "error_code", 0) if isinstance(request, OffsetFetchRequest) else 0
        if code:
            error = for_code(code)()
            if isinstance(error, _ELSEWHERE):
                coordinator.coordinator_dead()
            raise error
        return answer

    checked.sees_errors = True  # type: ignore[attr-defined]
    coordinator._send_req = checked  # noqa: SLF001
