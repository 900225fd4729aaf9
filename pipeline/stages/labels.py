"""Stages over labels and structured metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.stages.entry import text_of
from topics import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.stages.entry import Entry
    from pipeline.stages.pipeline import Apply, Job


def labels_stage(settings: Mapping[str, str], _job: Job) -> Apply:
    """Labels from extracted values; a value that was not extracted, or is a JSON null, changes nothing."""
    sources = [(name, source or name) for name, source in settings.items()]

    def apply(entry: Entry) -> bool:
        extracted = entry.extracted
        labels = entry.labels
        for name, source in sources:
            value = extracted.get(source)
            if value is not None:
                labels = labels.put(name, value if type(value) is str else text_of(value) or "")
        entry.labels = labels
        return True

    return apply


def labeldrop_stage(settings: Sequence[str], _job: Job) -> Apply:
    """These labels go."""
    names = tuple(settings)

    def apply(entry: Entry) -> bool:
        labels = entry.labels
        for name in names:
            if name in labels.mapping:
                labels = labels.without(name)
        entry.labels = labels
        return True

    return apply


def labelallow_stage(settings: Sequence[str], _job: Job) -> Apply:
    """All other labels go."""
    kept = frozenset(settings)

    def apply(entry: Entry) -> bool:
        if not entry.labels.mapping.keys() <= kept:
            entry.labels = entry.labels.only(kept)
        return True

    return apply


def static_labels_stage(settings: Mapping[str, str], _job: Job) -> Apply:
    """Labels as they are written; an empty one is passed over."""
    pairs = [(name, value) for name, value in settings.items() if value]

    def apply(entry: Entry) -> bool:
        labels = entry.labels
        for name, value in pairs:
            labels = labels.put(name, value)
        entry.labels = labels
        return True

    return apply


def structured_metadata_stage(settings: Mapping[str, str], _job: Job) -> Apply:
    """Structured metadata from extracted values, then from labels; a label of that name and value is taken away."""
    sources = [(name, source or name) for name, source in settings.items()]

    def apply(entry: Entry) -> bool:
        extracted = entry.extracted
        taken: dict[str, str] = {}
        for name, source in sources:
            text = text_of(extracted.get(source))
            if text is not None:
                entry.metadata.append((name, text))
                taken[source] = text
        labels = entry.labels
        for name, source in sources:
            if source not in taken and source in labels.mapping:
                taken[source] = labels.mapping[source]
                entry.metadata.append((name, taken[source]))
        for source, text in taken.items():
            if labels.mapping.get(source) == text:
                labels = labels.without(source)
        entry.labels = labels
        return True

    return apply


def structured_metadata_drop_stage(settings: Sequence[str], _job: Job) -> Apply:
    """Alloy's: structured metadata of these names goes."""
    names = frozenset(settings)
    raw_names = frozenset(name.encode() for name in names)

    def apply(entry: Entry) -> bool:
        entry.metadata = [pair for pair in entry.metadata if pair[0] not in names]
        if entry.packed:
            entry.packed = _without(entry.packed, raw_names)
        return True

    return apply


def _without(packed: bytes, names: frozenset[bytes]) -> bytes:
    """Encoded pairs without those of these names."""
    kept: list[bytes] = []
    end = 0
    for _, _, start, stop in wire.walk(packed):
        pair = packed[start:stop]
        if not any(number == 1 and pair[first:after] in names for number, _, first, after in wire.walk(pair)):
            kept.append(packed[end:stop])
        end = stop
    return b"".join(kept)


STAGES = {
    "labels": labels_stage,
    "labeldrop": labeldrop_stage,
    "labelallow": labelallow_stage,
    "static_labels": static_labels_stage,
    "structured_metadata": structured_metadata_stage,
    "non_indexed_labels": structured_metadata_stage,
    "structured_metadata_drop": structured_metadata_drop_stage,
}
