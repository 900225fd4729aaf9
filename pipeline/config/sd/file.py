"""`file_sd_configs`: targets in files that may change at any time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from pipeline.config.environment import JOINED
from pipeline.config.sd.kind import Kind
from pipeline.config.section import Fault, fault
from pipeline.config.units import Duration, Text

_SD_FILE = re.compile(r"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)")


def _sd_file(name: str) -> str:
    if not _SD_FILE.fullmatch(name):
        remedy = "name .json, .yml or .yaml files; a * may stand in the last part of the path only"
        raise fault(f'path name "{name}" is not valid for file discovery', remedy)
    return name


SDFile = Annotated[Text, AfterValidator(_sd_file), JOINED]


class FileSDConfig(Kind):
    """Targets read from files that may change at any time."""

    KIND: ClassVar[str] = "file"
    MEANING: ClassVar[str] = "Targets read from files."
    MEANINGS: ClassVar[dict[str, str]] = {
        "files": "`.json`, `.yml` or `.yaml` files of targets; a `*` may stand in the last part of the path.",
        "refresh_interval": "How often to read them again even though nothing seems to have changed.",
    }

    files: tuple[SDFile, ...] = ()
    refresh_interval: Duration = 300.0

    def faults(self) -> Iterator[Fault]:
        """At least one file."""
        if not self.files:
            yield Fault("file service discovery config must contain at least one path name", "add files")
