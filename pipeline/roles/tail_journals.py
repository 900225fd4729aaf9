"""How the tailer comes to its journal: exactly once in Kafka, or at least once with a positions file."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.roles.door import RETRY_S
from pipeline.tail.file_journal import FileJournal
from pipeline.tail.positions_file import PositionStore
from topics.errors import KafkaUnavailable, TransactionFailed
from topics.record import Kind

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from pipeline.clock import Clock
    from pipeline.producer.transactions import Transactions
    from pipeline.roles.door import KafkaDoor, Producer
    from pipeline.tail.journal import Journal
    from pipeline.tail.kafka_journal import KafkaJournal

log = logging.getLogger(__name__)


class Journals(Protocol):
    """Opens the journal of one process. `brokers`: for people; `place`: where the positions are, for people too."""

    @property
    def brokers(self) -> str:
        """Whom it waits for."""

    @property
    def place(self) -> str:
        """Where the positions are."""

    def opened(self, stop: asyncio.Event, say: Callable[[str], None]) -> AbstractAsyncContextManager[Journal | None]:
        """The journal, as soon as Kafka answers; None when `stop` came first. `say` gets why it waits.

        Raises PositionsError, TopicMismatch, TransactionsForbidden.
        """

    def status(self) -> dict[str, Any]:
        """The producer's status, for the status page."""


class KafkaJournals:
    """Exactly once: see `pipeline.tail.kafka_journal`."""

    def __init__(
        self,
        writer: Transactions,
        journal: KafkaJournal,
        *,
        brokers: str,
        place: str,
        ensure: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """`ensure` makes or verifies the topics; raises TopicMismatch or KafkaUnavailable."""
        self.brokers = brokers
        self.place = place
        self._writer = writer
        self._journal = journal
        self._ensure = ensure
        self._clock = clock

    @asynccontextmanager
    async def opened(self, stop: asyncio.Event, say: Callable[[str], None]) -> AsyncIterator[Journal | None]:
        """See Journals."""
        try:
            opened = await self._open(stop, say)
            if opened:
                log.info("exactly once: positions of %d files in %s", len(self._journal.store), self.place)
            yield self._journal if opened else None
        finally:
            await self._writer.close()

    async def _open(self, stop: asyncio.Event, say: Callable[[str], None]) -> bool:
        said = ""
        while not stop.is_set():
            try:
                await self._ensure()
                await self._journal.open()
            except (KafkaUnavailable, TransactionFailed) as error:
                reason = f"waiting for Kafka at {self.brokers}: {error}"
                say(reason)
                if reason != said:
                    log.warning("%s; trying again", reason)
                said = reason
            else:
                return True
            await self._clock.sleep(RETRY_S)
        return False

    def status(self) -> dict[str, Any]:
        """The writer's."""
        return self._writer.status()


class FileJournals:
    """At least once: see `pipeline.tail.file_journal`."""

    def __init__(
        self, door: KafkaDoor, file: Path, clock: Clock, *, ignore_damage: bool, save_interval_s: float
    ) -> None:
        self._door = door
        self._file = file
        self._clock = clock
        self._ignore_damage = ignore_damage
        self._save_interval_s = save_interval_s
        self._producer: Producer | None = None

    @property
    def brokers(self) -> str:
        """Whom it waits for."""
        return self._door.brokers

    @property
    def place(self) -> str:
        """The file."""
        return str(self._file)

    @asynccontextmanager
    async def opened(self, stop: asyncio.Event, say: Callable[[str], None]) -> AsyncIterator[Journal | None]:
        """See Journals."""
        store = PositionStore(self._file, self._ignore_damage).open()
        try:
            log.info("at least once: positions of %d files in %s", len(store), self._file)
            async with self._door.producer() as producer:
                self._producer = producer
                appender = await self._door.appender(producer, Kind.LOGS, stop=stop, clock=self._clock, say=say)
                if appender is None:
                    yield None
                else:
                    yield FileJournal(appender, store, self._clock, self._save_interval_s)
        finally:
            self._producer = None
            store.close()

    def status(self) -> dict[str, Any]:
        """The producer's, while there is one."""
        return self._producer.status() if self._producer else {}
