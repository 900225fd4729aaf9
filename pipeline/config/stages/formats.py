"""Stages that read the format of a line: cri, docker, multiline, decolorize."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pipeline.config.section import Fault
from pipeline.config.stages.stage import ByteSize, Expression, StageSection
from pipeline.config.units import Boolean, GoDuration, Integer, above_zero, between


class CriStage(StageSection):
    """`cri`: the format in which containerd and CRI-O write lines; partial lines are joined."""

    max_partial_lines: Annotated[Integer, between(0, None, "the default is 100")] = 100
    max_partial_line_size: ByteSize = 0
    max_partial_line_size_truncate: Boolean = False

    TITLE: ClassVar[str] = "`cri`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "max_partial_lines": "How many streams of one file may have an open line at once; then all are sent as they "
        "are. (Promtail counts over all files of the job.)",
        "max_partial_line_size": "Where to cut joined lines, with `max_partial_line_size_truncate`.",
        "max_partial_line_size_truncate": "Whether to cut them.",
    }

    def faults(self) -> Iterator[Fault]:
        """Promtail would make every partial line empty."""
        if self.max_partial_line_size_truncate and not self.max_partial_line_size:
            message = (
                "max_partial_line_size_truncate without max_partial_line_size would cut every partial line to nothing"
            )
            yield Fault(message, "add max_partial_line_size", ("max_partial_line_size_truncate",))

    @property
    def usual(self) -> bool:
        """Whether nothing limits the joining of partial lines but the tailer's own bound."""
        return not self.max_partial_line_size_truncate and self.max_partial_lines in (0, *range(2, 1 << 20))


class DockerStage(StageSection):
    """`docker`: the JSON lines of Docker's json-file driver."""

    TITLE: ClassVar[str] = "`docker`"


class DecolorizeStage(StageSection):
    """`decolorize`: colours of terminals are taken out of the line."""

    TITLE: ClassVar[str] = "`decolorize`"


class MultilineStage(StageSection):
    """`multiline`: lines up to the next first line become one entry."""

    firstline: Expression
    max_wait_time: Annotated[GoDuration, above_zero("3s")] = 3.0
    max_lines: Annotated[Integer, between(0, None, "the default is 128")] = 128

    TITLE: ClassVar[str] = "`multiline`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "firstline": "What the first line of an entry looks like.",
        "max_wait_time": "How long to wait for further lines.",
        "max_lines": "The most lines of an entry; 0 is no limit.",
    }


STAGES = {"cri": CriStage, "docker": DockerStage, "decolorize": DecolorizeStage, "multiline": MultilineStage}
