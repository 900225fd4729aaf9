"""From the name of a kind to what does its work: the module of that name in this folder.

Such a module has ``def discoverer(settings, around: Surroundings) -> Discoverer``. It is imported when a job names its
kind for the first time, so that nobody pays for the libraries of kinds that are not used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pipeline.config.section import Section
    from pipeline.discovery.discoverer import Discoverer, Surroundings


def discoverer(kind: str, settings: Section, around: Surroundings) -> Discoverer:
    """The discoverer of one entry under a kind's key."""
    module = importlib.import_module(f"pipeline.discovery.{kind}")
    return cast("Discoverer", module.discoverer(settings, around))
