"""What became of one discovered label set, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal["active", "dropped", "unusable"]


@dataclass(frozen=True, slots=True)
class Row:
    """`labels`: relabelled, without ``__meta_*``, empty unless the state is `active`. `reason`: why it is not."""

    discovered: Mapping[str, str]
    state: State
    labels: Mapping[str, str]
    reason: str = ""
