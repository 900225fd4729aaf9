"""`envoy`: headrace's own stage for the access logs of Envoy and Istio."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from pipeline.config.section import fault
from pipeline.config.stages.stage import StageSection
from pipeline.config.units import Boolean, Text
from pipeline.expressions import envoy_format

NAMED_FORMATS = ("auto", "json", "istio", "envoy")
DEFAULT_LABELS = (
    "cluster", "namespace", "app", "container", "job", "service_name", "direction", "response_code_class",
)  # fmt: skip


def _format(text: str) -> str:
    if text not in NAMED_FORMATS:
        try:
            envoy_format.compiled(text)
        except ValueError as error:
            raise fault(f"{error}", "write auto, json, istio, envoy, or a format string of Envoy") from None
    return text


class EnvoyStage(StageSection):
    """`envoy`: few labels, the rest structured metadata."""

    format: Annotated[Text, AfterValidator(_format)] = "auto"
    keep: Literal["both", "inbound", "outbound"] = "both"
    labels: tuple[Text, ...] = DEFAULT_LABELS
    fields: tuple[Text, ...] = ()
    spell_flags: Boolean = False

    TITLE: ClassVar[str] = "`envoy`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "format": "`auto` (JSON, Istio's text or Envoy's, line by line) `json` `istio` `envoy`, or a format string in "
        "Envoy's own language: `[%START_TIME%] %REQ(:METHOD)% %RESPONSE_CODE%`.",
        "keep": "Each request between two sidecars is logged twice: keep the `inbound` or the `outbound` line, or "
        "`both`. Lines of neither side stay.",
        "labels": "The labels of the stream; all other ones become structured metadata.",
        "fields": "The fields that become structured metadata; without it, all that are set.",
        "spell_flags": "Whether `response_flags_long` spells the flags out: `UF` is `UpstreamConnectionFailure`.",
    }


STAGES = {"envoy": EnvoyStage}
