"""Write relabelling of a record, series by series: keep, drop or rewrite; the decision memoised by raw label bytes.

Samples and lines are never decoded: what follows the labels of a series or stream is carried along as bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from xxhash import xxh3_128_digest

from agents.content.plan import LEAST_BYTES, Plans
from pipeline.memo import Memo
from topics import labels as label_sets
from topics import push_request, wire, write_request
from topics.errors import CorruptMessage, InvalidLabels
from topics.write_request import ONE_SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents.content.plan import Plan
    from pipeline.relabel.program import Program
    from topics.labels import LabelPairs

KEEP = -1
NO_LABELS_LEFT = "empty"
MEMO_BYTES = 48 * 1024 * 1024
MOST_SPLICES = 10_000

Splice = tuple[int, int, bytes]
"""How labels change as bytes: what stands from the first to the second position gives way to the third."""

SeriesDecision = int | Splice
StreamDecision = int | bytes
"""KEEP, the index of the rule that drops (the number of rules: no label is left), or the change.

Most rules touch a label or two, so the splice of a series is small, and the same one for many series: what is kept for
each is little more than its key. Of a stream the new label text is kept.
"""

_SERIES_TAG = b"\x0a"
_SAMPLE_TAG = b"\x12"
_SAMPLE_REST = ONE_SAMPLE_BYTES - 1
_PREFIXES_SIZE = 4096


def _prefix(size: int) -> bytes:
    """What stands before a series of `size` bytes."""
    return _SERIES_TAG + wire.varint(size)


_PREFIXES = tuple(_prefix(size) for size in range(_PREFIXES_SIZE))


@dataclass(slots=True)
class Rewritten:
    """What is left of a body. `body` is None when every series was dropped; `unchanged` when nothing was touched.

    `ruled_out`: samples (or lines) by the rule that dropped them; rules are named by their index in the list. `parts`:
    see `batch.Piece`, of a body that is a block.
    """

    body: bytes | None
    unchanged: bool = False
    dropped_series: int = 0
    ruled_out: dict[str, int] = field(default_factory=dict)
    parts: Sequence[tuple[int, int]] = ()


class Rewriter(Protocol):
    """The rules of one backend, applied to whole bodies."""

    def rewrite(self, body: bytes, fragments: Sequence[int] = ()) -> Rewritten:
        """Apply the rules to a decoded body. Raises CorruptMessage for a body that is not what its topic holds.

        `fragments`: the sizes of the fragments that the body was joined from, where its producer told them.
        """


class Rules:
    """The decision about one label set: external labels first, then the rules, as Prometheus does it.

    External labels never replace a label that is there (Prometheus: processExternalLabels; Promtail: LabelSet.Merge).
    """

    def __init__(self, program: Program, external_labels: Mapping[str, str]) -> None:
        self._program = program
        self._external = dict(external_labels)
        self._names = [str(index) for index in range(len(program.rules))] + [NO_LABELS_LEFT]

    @property
    def empty(self) -> bool:
        """Whether no label set is ever touched."""
        return self._program.empty and not self._external

    @property
    def count(self) -> int:
        """How many rules there are."""
        return len(self._program.rules)

    def named(self, dropped: Sequence[int]) -> dict[str, int]:
        """Numbers by dropping decision as numbers by the rule's name, fit for a metric label."""
        return {name: number for name, number in zip(self._names, dropped, strict=True) if number}

    def decide(self, pairs: LabelPairs) -> LabelPairs | int:
        """The label set to send, or the index of the rule that drops it."""
        labels, rule = self._program.run(self._external | dict(pairs))
        if labels is None:
            return rule
        return label_sets.make(labels) or len(self._names) - 1


class MetricsRewriter:
    """Rules over raw series of a WriteRequest; metadata passes as it is.

    A series seen before costs one slice, one hash and one look-up. The memo key is the hash of the labels and of the
    tag of the first sample. When that is what stands before the last 17 bytes of a raw series, then the labels end
    there (no label begins with a sample's tag) and the rest is its sample. Any other shape is walked. A whole fragment
    seen before, but for values and timestamps, costs less still: see plan.py.
    """

    def __init__(self, rules: Rules, memo_bytes: int = MEMO_BYTES) -> None:
        self._rules = rules
        self._memo: Memo[SeriesDecision] = Memo(memo_bytes)
        self._splices: dict[Splice, Splice] = {}
        self._plans = Plans()

    def rewrite(self, body: bytes, fragments: Sequence[int] = ()) -> Rewritten:
        """See `Rewriter`. Two series that the rules make equal are both sent: merging them is the backend's affair."""
        if len(fragments) < 2 or sum(fragments) != len(body):
            return self._rewrite(body)
        ends = list(accumulate(fragments))
        try:
            results = [self._rewrite(body[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
        except CorruptMessage:  # cut where no series ends: the sizes are not to be trusted, the body may be
            return self._rewrite(body)
        return _joined(results, body)

    def plan_of(self, fragment: bytes) -> Plan | None:
        """The plan that seems to fit a fragment, if there is one."""
        return self._plans.find(fragment) if len(fragment) >= LEAST_BYTES else None

    def forget(self, fragment: bytes) -> None:
        """The plan that `plan_of` gave is not needed any more."""
        self._plans.forget(fragment)

    def _rewrite(self, fragment: bytes) -> Rewritten:
        if len(fragment) < LEAST_BYTES:
            return self._each(fragment)
        plan = self._plans.find(fragment)
        if plan is not None:
            rewritten = plan.apply(fragment)
            if rewritten is not None:
                unchanged = rewritten is fragment
                return Rewritten(rewritten or None, unchanged, plan.dropped_series, dict(plan.ruled_out))
            self._plans.forget(fragment)
        return self._each(fragment)

    def _each(self, body: bytes) -> Rewritten:
        """Series by series; learns a plan when each of them was known."""
        series, metadata = write_request.split_all(body)
        known = self._memo.known.get
        decisions = [known(xxh3_128_digest(raw[:-_SAMPLE_REST])) for raw in series]
        if decisions.count(KEEP) == len(decisions):
            self._learn(body, series, decisions, Rewritten(body, unchanged=True), metadata)
            return Rewritten(body, unchanged=True)
        result = Rewritten(None)
        parts: list[bytes] = []
        dropped = [0] * (self._rules.count + 1)
        changed = False
        for raw, found in zip(series, decisions, strict=True):
            whole, decision = (raw, found) if found is not None else self._slowly(raw)
            if decision is KEEP:
                size = len(whole)
                parts += (_PREFIXES[size] if size < _PREFIXES_SIZE else _prefix(size), whole)
            elif isinstance(decision, tuple):
                changed = True
                start, end, new = decision
                size = len(whole) - end + start + len(new)
                parts += (_PREFIXES[size] if size < _PREFIXES_SIZE else _prefix(size), whole[:start], new, whole[end:])
            else:
                changed = True
                result.dropped_series += 1
                dropped[decision] += 1 if found is not None else count_samples(whole)
        if not changed:
            return Rewritten(body, unchanged=True)
        result.ruled_out = self._rules.named(dropped)
        if parts or metadata:
            result.body = b"".join(parts) + write_request.join_metadata(metadata)
        self._learn(body, series, decisions, result, metadata)
        return result

    def _learn(
        self,
        body: bytes,
        series: list[bytes],
        decisions: list[SeriesDecision | None],
        done: Rewritten,
        metadata: list[bytes],
    ) -> None:
        if len(body) < LEAST_BYTES or metadata or None in decisions:
            return
        sizes = [_new_size(raw, decision) for raw, decision in zip(series, decisions, strict=True)]
        rewritten = None if done.unchanged else done.body or b""
        self._plans.learn(body, series, sizes, rewritten, dropped_series=done.dropped_series, ruled_out=done.ruled_out)

    def _slowly(self, raw: bytes) -> tuple[bytes, SeriesDecision]:
        """The series with its labels in front, and the decision."""
        end = write_request.labels_end(raw)
        if not end:
            raw = write_request.labels_first(raw)
            end = write_request.labels_end(raw)
        labels = raw[:end]
        key = xxh3_128_digest(labels + _SAMPLE_TAG)
        decision = self._memo.known.get(key)
        if decision is None:
            decision = self._memo.add(key, self._decide(labels))
        return raw, decision

    def _decide(self, labels: bytes) -> SeriesDecision:
        try:
            decided = self._rules.decide(write_request.decode_labels(labels))
        except InvalidLabels as error:
            raise CorruptMessage(str(error)) from None
        if isinstance(decided, int):
            return decided
        encoded = write_request.encode_labels(decided)
        return KEEP if encoded == labels else self._shared(splice(labels, encoded))

    def _shared(self, change: Splice) -> Splice:
        """The one object that stands for this change, so that equal changes take memory once."""
        if len(self._splices) >= MOST_SPLICES:
            self._splices.clear()
        return self._splices.setdefault(change, change)


def _new_size(raw: bytes, decision: SeriesDecision | None) -> int:
    """How large a raw series is after its decision; 0 when it is dropped."""
    if isinstance(decision, tuple):
        start, end, new = decision
        return len(raw) - end + start + len(new)
    return len(raw) if decision == KEEP else 0


def _joined(results: Sequence[Rewritten], body: bytes) -> Rewritten:
    """What became of the fragments, as what became of the body."""
    if all(result.unchanged for result in results):
        return Rewritten(body, unchanged=True)
    whole = Rewritten(b"".join([result.body for result in results if result.body]) or None)
    for result in results:
        whole.dropped_series += result.dropped_series
        for rule, number in result.ruled_out.items():
            whole.ruled_out[rule] = whole.ruled_out.get(rule, 0) + number
    return whole


def splice(old: bytes, new: bytes) -> Splice:
    """The shortest single replacement that makes `new` of `old`."""
    shorter = min(len(old), len(new))
    start = _agree(lambda size: old[:size] == new[:size], shorter)
    same = _agree(lambda size: old[len(old) - size :] == new[len(new) - size :], shorter - start)
    return start, len(old) - same, new[start : len(new) - same]


def _agree(equal: Callable[[int], bool], most: int) -> int:
    """The largest size up to `most` at which both are equal; halving, because comparing bytes one by one is slow."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if equal(middle) else (low, middle - 1)
    return low


class LogsRewriter:
    """Rules over the label text of raw streams of a PushRequest."""

    def __init__(self, rules: Rules, memo_bytes: int = MEMO_BYTES) -> None:
        self._rules = rules
        self._memo: Memo[StreamDecision] = Memo(memo_bytes)

    def rewrite(self, body: bytes, fragments: Sequence[int] = ()) -> Rewritten:
        """See `Rewriter`."""
        result = Rewritten(None)
        kept: list[bytes] = []
        changed = False
        dropped = [0] * (self._rules.count + 1)
        for raw in push_request.split(body):
            labels, rest = _labels_and_rest(raw)
            key = xxh3_128_digest(labels)
            decision = self._memo.known.get(key)
            if decision is None:
                decision = self._memo.add(key, self._decide(labels))
            if decision == KEEP:
                kept.append(raw)
                continue
            changed = True
            if isinstance(decision, bytes):
                kept.append(wire.field(1, decision) + rest)
            else:
                result.dropped_series += 1
                dropped[decision] += push_request.count_entries(raw)
        result.unchanged = not changed
        result.ruled_out = self._rules.named(dropped)
        if kept:
            result.body = push_request.join(kept) if changed else body
        return result

    def _decide(self, labels: bytes) -> StreamDecision:
        try:
            decided = self._rules.decide(label_sets.parse_text(labels.decode()))
        except (InvalidLabels, UnicodeDecodeError) as error:
            raise CorruptMessage(f"the labels of a stream: {error}") from None
        if isinstance(decided, int):
            return decided
        encoded = label_sets.text(decided).encode()
        return KEEP if encoded == labels else encoded


def _labels_and_rest(raw_stream: bytes) -> tuple[bytes, bytes]:
    if raw_stream[:1] == b"\x0a":
        size, start = wire.read_varint(raw_stream, 1)
        if start + size <= len(raw_stream):
            return raw_stream[start : start + size], raw_stream[start + size :]
    labels = push_request.labels_of(raw_stream)
    return labels, push_request.join_entries(push_request.entries_of(raw_stream))


def count_samples(raw: bytes) -> int:
    """Samples and histograms of a raw series, wherever its labels stand. Raises CorruptMessage."""
    return write_request.count_samples(raw if raw[:1] == b"\x0a" else write_request.labels_first(raw))
