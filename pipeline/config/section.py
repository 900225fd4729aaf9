"""The base of every section: strict, frozen, and able to report more than one fault at once.

A section lists the keys that headrace acts on as its fields. Keys that Prometheus or Promtail know and headrace does
not act on stand in `FOREIGN`, each with what happens to it; keys.py walks them before validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

NOT_YET = "{owner} knows this key, headrace does not act on it yet"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong inside a section; `path` is relative to it. `alone`: left out where a key inside is wrong."""

    message: str
    remedy: str = ""
    path: tuple[str | int, ...] = ()
    alone: bool = False


def fault(message: str, remedy: str = "") -> PydanticCustomError:
    """An error for a field's validator to raise: what is wrong and what to do, in words for people."""
    return faults([Fault(message, remedy)])


def faults_at(key: str, message: str, remedy: str = "") -> PydanticCustomError:
    """As `fault`, for a key inside the value that the validator was given."""
    return faults([Fault(message, remedy, (key,))])


def faults(found: list[Fault]) -> PydanticCustomError:
    """Many faults as the one error that pydantic lets a validator raise; the loader takes them apart again."""
    message = "; ".join(one.message for one in found)
    return PydanticCustomError("faults", "{message}", {"message": message, "faults": found})


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A key of a part that an ingestion tier does not have: accepted, and said in a warning."""

    why: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """A key that would change what headrace does, if it acted on it: refused.

    Passes in silence where its value changes nothing: a text among `harmless`, null, or an empty list or mapping; the
    last three only while `presence` is False, for there are keys whose mere presence says something (``sigv4: {}``).
    """

    harmless: tuple[str, ...] = ()
    remedy: str = "remove the key"
    owner: str = "Prometheus"
    presence: bool = False


Foreign = Elsewhere | NotYet


@dataclass(frozen=True, slots=True)
class Shape:
    """Annotation of a field that is written as a section but held as something else."""

    section: type[Section]


class Section(BaseModel):
    """A mapping of the configuration file. Equal sections compare equal; none is ever written to."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        # What reads a section holds what reads all within it. Built when first read: 5 MB less in every process.
        defer_build=True,
    )

    FOREIGN: ClassVar[dict[str, Foreign]] = {}
    # Keys whose null means "with its defaults", not "absent".
    BARE: ClassVar[frozenset[str]] = frozenset()

    def faults(self) -> Iterator[Fault]:
        """What is wrong between the keys of this section, each being right by itself."""
        yield from ()

    def warnings(self) -> Iterator[Fault]:
        """What is accepted but will not do what the reader may expect."""
        yield from ()

    @model_validator(mode="after")
    def _sound(self) -> Any:
        found = list(self.faults())
        if found:
            raise faults(found)
        return self
