"""Stages that set labels, structured metadata, the time, the tenant and the line itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator

from pipeline.config.section import Fault, faults
from pipeline.config.stages.stage import EMPTY_TEXTS, LABEL_NAME, StageSection, not_empty
from pipeline.config.units import Boolean, Text
from pipeline.expressions import go_time


def _legacy_names(value: dict[str, Any]) -> dict[str, Any]:
    wrong = [name for name in value if not LABEL_NAME.fullmatch(name)]
    if wrong:
        remedy = "use letters, digits and _, a digit not first"
        raise faults([Fault(f"invalid label name: {name}", remedy, (name,)) for name in wrong])
    return value


def _some_name(value: dict[str, Any]) -> dict[str, Any]:
    if "" in value:
        raise faults([Fault("a label without a name", "give it a name", ("",))])
    return value


LabelSources = Annotated[dict[Text, Text], EMPTY_TEXTS, AfterValidator(_legacy_names)]
StaticLabels = Annotated[dict[Text, Text], EMPTY_TEXTS, AfterValidator(_some_name)]
LabelNames = Annotated[
    tuple[Text, ...], not_empty("a list of label names is required", "write for example: [filename]")
]


class TimestampStage(StageSection):
    """`timestamp`: the time of the entry, read from an extracted value."""

    source: Annotated[
        Text, not_empty("timestamp source value is required", "name the extracted value that holds the time")
    ]
    format: Annotated[Text, not_empty("timestamp format is required", "write RFC3339, Unix or a layout of Go")]
    fallback_formats: tuple[Text, ...] = ()
    location: Text | None = None
    action_on_failure: Literal["fudge", "skip"] = "fudge"

    TITLE: ClassVar[str] = "`timestamp`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "source": "The extracted value.",
        "format": "`ANSIC` `UnixDate` `RubyDate` `RFC822` `RFC822Z` `RFC850` `RFC1123` `RFC1123Z` `RFC3339` "
        "`RFC3339Nano` `Unix` `UnixMs` `UnixUs` `UnixNs`, or a layout of Go such as `2006-01-02 15:04:05`.",
        "fallback_formats": "Formats to try after it.",
        "location": "The IANA zone of layouts that say none.",
        "action_on_failure": "`fudge`: a nanosecond after the last time of these labels; `skip`: the time stays.",
    }

    def faults(self) -> Iterator[Fault]:
        """A zone that is known."""
        try:
            go_time.parser(self.format, self.location, time.time)
        except ValueError as error:
            yield Fault(f"{error}", "write an IANA name such as Europe/Berlin", ("location",))


class OutputStage(StageSection):
    """`output`: the line, from an extracted value."""

    source: Annotated[
        Text, not_empty("output source value is required", "name the extracted value that becomes the line")
    ]

    TITLE: ClassVar[str] = "`output`"
    MEANINGS: ClassVar[dict[str, str]] = {"source": "The extracted value."}


class TenantStage(StageSection):
    """`tenant`: the tenant of the entry; it goes into a record of that tenant and into `X-Scope-OrgID`."""

    label: Text = ""
    source: Text = ""
    value: Text = ""

    TITLE: ClassVar[str] = "`tenant`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "label": "The label that holds it.",
        "source": "The extracted value that holds it.",
        "value": "The tenant itself.",
    }

    def faults(self) -> Iterator[Fault]:
        """One of the three."""
        given = sum(bool(one) for one in (self.label, self.source, self.value))
        if not given:
            yield Fault("label, source or value is required", "add one of them")
        elif given > 1:
            yield Fault("label, source and value exclude each other", "keep one of them")


class PackStage(StageSection):
    """`pack`: labels and extracted values put into the line, as a JSON object with `_entry`."""

    labels: tuple[Text, ...] = ()
    ingest_timestamp: Boolean = True

    TITLE: ClassVar[str] = "`pack`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "labels": "What to pack; labels among them are taken from the stream.",
        "ingest_timestamp": "Whether the entry gets the time of packing.",
    }


STAGES = {
    "labels": LabelSources,
    "labeldrop": LabelNames,
    "labelallow": LabelNames,
    "static_labels": StaticLabels,
    "structured_metadata": LabelSources,
    "non_indexed_labels": LabelSources,
    "structured_metadata_drop": LabelNames,
    "timestamp": TimestampStage,
    "output": OutputStage,
    "tenant": TenantStage,
    "pack": PackStage,
}
