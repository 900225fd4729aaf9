"""Metadata of metric families (type, help, unit) on its way through a metrics topic, and when it is said again.

It travels in records of its own, which hold no samples: a WriteRequest of MetricMetadata messages. Whoever has scraped
it says it at once, and then again every `repeat_s`, in *every* partition, so that each reader of any partition can tell
what the series there are. What must be said once, and not by each reader, is the affair of the reader of the family's
`home` partition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from topics import keys
from topics.pb.write_request_pb2 import MetricMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_ENTRY_BYTES = 64 * 1024
"""A family that takes more to describe is not described."""

_LEAST_REPEAT_S = 60.0
_REPEAT_S_A_PARTITION = 2.0
_TYPES: Mapping[str, int] = {name.lower(): number for name, number in MetricMetadata.MetricType.items()}


def encode(family: str, kind: str, help_text: str, unit: str) -> bytes:
    """One raw MetricMetadata. `kind`: the type's word in small letters; one that is not known is `unknown`.

    What is no UTF-8 (lone surrogates) is replaced.
    """
    message = MetricMetadata(
        type=_TYPES.get(kind, MetricMetadata.UNKNOWN),  # type: ignore[arg-type]  # an enum is a number here
        metric_family_name=_text(family),
        help=_text(help_text),
        unit=_text(unit),
    )
    return message.SerializeToString()


def repeat_s(partitions: int) -> float:
    """So often a family is said again, seconds: each minute, and less often where that would be very many records."""
    return max(_LEAST_REPEAT_S, _REPEAT_S_A_PARTITION * partitions)


def forget_s(partitions: int) -> float:
    """Not heard of for so long, seconds, a family is no longer there."""
    return 3 * repeat_s(partitions)


def home(family: str, partitions: int) -> int:
    """The partition whose reader speaks for this family, where it is to be said once."""
    return keys.partition(xxh3_64_intdigest(family.encode(errors="replace")) % keys.BUCKETS, partitions)


def _text(text: str) -> str:
    return text.encode(errors="replace").decode() if not text.isascii() else text
