"""What the delivering side must know of a body: how to count it, cut it, and put its parts together again.

The two codecs are in metrics.py and logs.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agents.content.rewrite import Rewriter, Rules
    from topics.record import Kind


@dataclass(frozen=True, slots=True)
class Part:
    """The smallest thing that can be sent alone: a whole top-level field of the body, and its samples or lines."""

    field: bytes
    items: int


class Codec(Protocol):
    """One kind of body."""

    @property
    def kind(self) -> Kind:
        """Whose topic, whose dead letters."""

    @property
    def first_bytes(self) -> frozenset[int]:
        """What a body of this kind can begin with: the tags of its top-level fields."""

    @property
    def unwanted(self) -> int:
        """What this backend is not to have in a body: of the `extras` of topics.record, as a sum, or 0."""

    def strip(self, body: bytes, extras: int) -> tuple[bytes, int]:
        """A decoded body without these, and how many items went with them. Raises CorruptMessage."""

    def parts(self, body: bytes) -> list[Part]:
        """A decoded body in its smallest parts, in order; joined, they are a body again. Raises CorruptMessage."""

    def cut(self, body: bytes, items: int, most: int) -> list[tuple[bytes, int]] | None:
        """A decoded body of so many items as bodies of at most `most`, and how many each has; None: only by `parts`.

        Raises CorruptMessage.
        """

    def rewriter(self, rules: Rules) -> Rewriter:
        """The rules made ready for bodies of this kind."""
