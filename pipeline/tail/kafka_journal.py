"""Exactly once: lines and the positions they advance, in one Kafka transaction.

Positions stand in the control topic, by node and file. At start, and after every error, the journal becomes the only
writer of its node, then reads back what is committed; whoever wrote under that name before can write no more.

Two tailers with one name (a copied machine, a stolen identity) would so push each other out in turn, for ever. So the
youngest one is the owner: each one puts its own mark into the node's `owner` record when it comes; one that was pushed
out and finds another's mark there ends.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import orjson

from pipeline.tail import position_keys
from pipeline.tail.position_index import Positions
from pipeline.tail.position_keys import NodeKeys
from topics.errors import IdentityStolen, PositionsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.producer.appender import Fragment
    from pipeline.tail.identity import FileKey
    from pipeline.tail.positions import Position

log = logging.getLogger(__name__)


class Remembered(Protocol):
    """What is committed: the last value of each key; when the newest record was written (Unix ms, 0: never)."""

    values: dict[bytes, bytes]
    newest_ms: int


class Writer(Protocol):
    """What the journal needs of Kafka; `pipeline.producer.transactions` keeps it."""

    partitions: int

    async def open(self) -> None:
        """Become the only writer. Raises KafkaUnavailable, TransactionsForbidden."""

    async def remembered(self, prefix: bytes) -> Remembered:
        """What is committed under keys that begin with `prefix`. Raises KafkaUnavailable."""

    async def write(self, fragments: Sequence[Fragment], memory: Mapping[bytes, bytes | None]) -> None:
        """Commit both, or neither. Raises TransactionFailed: nobody knows."""

    async def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class Import:
    """Positions of another keeper, to be taken over once. `what` names them for ever: a file's path."""

    what: str
    positions: tuple[Position, ...]


class KafkaJournal:
    """See the module. `who` tells people which process the owner is, e.g. its host and process id."""

    def __init__(self, writer: Writer, node: str, *, who: str = "", imports: Callable[[], Sequence[Import]]) -> None:
        """`imports` is asked once, at the first opening; raises PositionsError."""
        self._writer = writer
        self._node = node
        self._keys = NodeKeys(node)
        self._mark = secrets.token_hex(8)
        self._who = who
        self._imports = imports
        self._claimed = False
        self._store = Positions()
        self._noted: dict[FileKey, Position | None] = {}
        self.since_ns: int | None = None

    @property
    def partitions(self) -> int:
        """How many partitions the lines' topic has."""
        return self._writer.partitions

    @property
    def store(self) -> Positions:
        """What is committed, by file; and what was noted since."""
        return self._store

    @property
    def unwritten(self) -> bool:
        """Whether something was noted or forgotten since the last `write` began."""
        return bool(self._noted)

    async def open(self) -> None:
        """Be the only one that writes under the node's name, and know what is committed."""
        if self._claimed:
            remembered = await self._writer.remembered(self._keys.prefix)
            self._refuse_if_stolen(remembered.values)  # before we push anybody out
        await self._writer.open()
        remembered = await self._writer.remembered(self._keys.prefix)
        found = remembered.values
        if self._claimed:
            self._refuse_if_stolen(found)
        elif remembered.newest_ms:
            self.since_ns = remembered.newest_ms * 1_000_000
        positions = self._positions(found)
        imported = (
            [] if self._claimed else [one for one in self._imports() if self._keys.imported(one.what) not in found]
        )
        await self._claim(imported)
        self._claimed = True
        self._noted.clear()
        self._store.replace([*positions, *(position for one in imported for position in one.positions)])

    def note(self, position: Position) -> None:
        """Comes along with the next lines, or by itself when none come."""
        self._store.update([position])
        self._noted[position.key] = position

    def forget(self, key: FileKey) -> None:
        """A tombstone, with the next lines."""
        if self._store.forget(key):
            self._noted[key] = None

    async def write(self, fragments: Sequence[Fragment], positions: Sequence[Position]) -> None:
        """Commit the lines and the positions, and what was noted or forgotten."""
        moved: dict[FileKey, Position | None] = self._noted | {one.key: one for one in positions}
        self._noted = {}
        memory = {
            self._keys.of_file(key): None if position is None else position_keys.value(position)
            for key, position in moved.items()
        }
        if fragments or memory:
            await self._writer.write(fragments, memory)
        self._store.update(positions)

    async def run(self) -> None:
        """Nothing works beside the writes."""
        await asyncio.get_running_loop().create_future()

    async def flush(self) -> None:
        """Nothing is left: what was written is committed."""

    def _refuse_if_stolen(self, found: Mapping[bytes, bytes]) -> None:
        raw = found.get(self._keys.owner)
        owner = orjson.loads(raw) if raw else {}
        if owner.get("mark") != self._mark:
            raise IdentityStolen(
                f"another tailer writes as node {self._node!r} since we began: {owner.get('who') or 'an unknown one'}. "
                "The older one of the two ends, and that is this one; nothing is lost. Give each machine a name of its "
                "own (--node.name or NODE_NAME)"
            )

    def _positions(self, found: Mapping[bytes, bytes]) -> list[Position]:
        try:
            return [position_keys.position(raw) for key, raw in found.items() if self._keys.is_file(key)]
        except (ValueError, TypeError, KeyError) as error:
            raise PositionsError(
                f"a position of node {self._node!r} in the control topic cannot be read: {error!r}. Was it written by "
                "a newer headrace?"
            ) from error

    async def _claim(self, imports: Sequence[Import]) -> None:
        """Put our mark, and what is imported, in one transaction."""
        memory: dict[bytes, bytes | None] = {
            self._keys.owner: orjson.dumps({"mark": self._mark, "who": self._who}),
        }
        for one in imports:
            memory[self._keys.imported(one.what)] = orjson.dumps({"positions": len(one.positions)})
            for position in one.positions:
                memory[self._keys.of_file(position.key)] = position_keys.value(position)
        await self._writer.write([], memory)
        for one in imports:
            log.info("%d positions imported from %s, once and for all", len(one.positions), one.what)
