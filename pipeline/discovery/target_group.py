"""The one type that discovery hands to scraping and tailing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Targets that share labels and a source.

    `targets`: one mapping a target, with at least ``__address__``; `labels` are common to all of them; `source` names
    the group within its discoverer (a file's path, `0`, …): a later group of the same source replaces this one whole.
    """

    source: str
    targets: tuple[Mapping[str, str], ...]
    labels: Mapping[str, str]
