"""Documents to hold our parsers to: handmade ones, nasty ones, and what mutation makes of them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from topics.pb import metric_family_pb2 as pb
from topics.wire import varint

NAMES = ["a", "rpc_duration_seconds", "http_requests_total", "x:y:z", "_", "a_created", "n_bucket", "h_seconds"]
QUOTED = ['"quoted.name"', '"größe in m"', '"with \\" quote"', '"a\\\\b"', '"\\x"', '""', '"nl\nx"']
LABELS = ["b", "le", "quantile", "l_1", "__name__", "b"]
TEXTS = ["", "v", "1", "0.5", "+Inf", "a\\nb", 'a\\"b', "\\\\", "\\q", "é世", "{x}", "a,b=c", "# EOF", "1e3", "0x1p3"]
VALUES = [
    "1", "0", "-0", "1.5", "+1", "1e3", "1E-7", "NaN", "nan", "+Inf", "-inf", "Infinity", ".5", "5.", "1e400", "1e-400",
    "1_0", "0x1", "0x1p3", "--1", "1.5.5", "abc", "1{", "4.9406564584124654e-324", "1\t2",
]  # fmt: skip
STAMPS = ["1700000000", "1700000000.123", "1.5", "0", "-3", "1e3", "1e30", "NaN", "Inf", "x", "0.0005", "1_0", "#"]
TYPES = [
    "counter",
    "gauge",
    "histogram",
    "gaugehistogram",
    "summary",
    "info",
    "stateset",
    "unknown",
    "untyped",
    "x",
    "",
]
PIECES = [
    "\n", " \n", "#\n", "# \n", "# comment\n", "#HELP a x\n", "# HELP a\n", "# HELP a \n", "# HELP  a b\n", "a\n",
    "{}\n", "# HELP \"q.n\" text\n", "# TYPE\n", "# TYPE a counter \n", "# UNIT a_seconds seconds\n",
    "# UNIT a seconds\n",
    "# UNIT a_s \n", "# UNIT seconds seconds\n", "# EOF\n", "# EOF", "# EOFX\n", "a 1", "a 1 \n", "a  1\n", " a 1\n",
    "a{} 1\n", "a{b=\"c\"} 1 # {} 1\n", "a 1 # \n", "a 1 #\n", "a 1 # x\n", "a 1 #{} 1\n", "a 1 # {a=\"b\"}\n",
    "a 1\r\n", "a{b=\"c\"}{d=\"e\"} 1\n", "a 1 2 3\n", "a{b = \"c\"} 1\n", "{\"a\" } 1\n",
]  # fmt: skip


def _labels(r: random.Random) -> list[str]:
    found = []
    for _ in range(r.choice([0, 0, 1, 1, 2, 3])):
        name = r.choice(LABELS if r.random() < 0.9 else QUOTED)
        found.append(f'{name}="{r.choice(TEXTS)}"')
    return found


def _sample(r: random.Random) -> str:
    labels = _labels(r)
    name = r.choice(NAMES)
    if r.random() < 0.12:
        labels.insert(r.randrange(len(labels) + 1), r.choice(QUOTED))
        name = "" if r.random() < 0.9 else name
    comma = "," if r.random() < 0.05 else ""
    braces = "{" + ",".join(labels) + comma + "}" if labels or r.random() < 0.3 else ""
    line = f"{name}{braces} {r.choice(VALUES if r.random() < 0.15 else VALUES[:14])}"
    if r.random() < 0.2:
        line += f" {r.choice(STAMPS if r.random() < 0.3 else STAMPS[:7])}"
    if r.random() < 0.3:
        line += " # {" + ",".join(_labels(r)) + "} " + r.choice(VALUES if r.random() < 0.1 else VALUES[:14])
        if r.random() < 0.5:
            line += f" {r.choice(STAMPS if r.random() < 0.2 else STAMPS[:7])}"
    return line + "\n"


def _metadata(r: random.Random) -> str:
    name = r.choice(NAMES if r.random() < 0.9 else QUOTED)
    kind = r.choice(["HELP", "TYPE", "TYPE", "UNIT"])
    if kind == "HELP":
        return f"# HELP {name} {r.choice(TEXTS)}\n"
    if kind == "TYPE":
        return f"# TYPE {name} {r.choice(TYPES if r.random() < 0.1 else TYPES[:8])}\n"
    return f"# UNIT {name} {r.choice(['seconds', '', 'bucket', 'total', 's'] if r.random() < 0.5 else [name[-3:]])}\n"


def openmetrics_document(r: random.Random) -> bytes:
    """Lines at random, most of them valid, most documents ended as they must be."""
    lines = []
    for _ in range(r.choice([0, 1, 1, 2, 3, 5, 8])):
        kind = r.random()
        lines.append(_sample(r) if kind < 0.7 else _metadata(r) if kind < 0.95 else r.choice(PIECES))
    end = (
        "# EOF\n" if r.random() < 0.8 else r.choice(["# EOF", "", "# EOF\n\n", "# EOF\n# EOF\n", "# EOF\n\0", "#EOF\n"])
    )
    return ("".join(lines) + end).encode()


def classic_histograms(r: random.Random, *, openmetrics: bool) -> bytes:
    """Families of classic histograms, some of them broken, among other families."""
    text = []
    for family in range(r.choice([1, 1, 2, 3])):
        name = r.choice(["h", "h_seconds", "rpc", "h_bucket"]) + str(family) * r.randrange(2)
        kind = "histogram" if r.random() < 0.85 else r.choice(["gauge", "counter", "summary"])
        text.append(f"# TYPE {name} {kind}\n" if r.random() < 0.95 else "")
        for series in range(r.choice([1, 1, 2, 3])):
            text += _classic(r, name, series, openmetrics=openmetrics)
        if r.random() < 0.2:
            text.append(f"# TYPE other gauge\nother {r.randrange(9)}\n")
    return ("".join(text) + ("# EOF\n" if openmetrics else "")).encode()


def _classic(r: random.Random, name: str, series: int, *, openmetrics: bool) -> list[str]:
    other = r.choice(["", f'job="{series}"', f'job="{series}",z="é"'])
    bounds = sorted(r.sample(["-1", "0.005", "0.1", "0.5", "1", "1.0", "2.5", "10", "1e3"], r.randrange(6)), key=float)
    bounds += ["+Inf"] * (r.random() < 0.85)
    if r.random() < 0.05:
        bounds.append(r.choice(["NaN", "x", ""]))
    count, lines = 0.0, []
    for bound in bounds:
        count += r.choice([0, 0, 1, 3, 17]) if r.random() < 0.95 else r.choice([-4, 0.5])
        labels = ",".join(filter(None, [other if r.random() < 0.5 else "", f'le="{bound}"']))
        labels = ",".join(filter(None, [other, f'le="{bound}"'])) if r.random() < 0.97 else labels
        line = f"{name}_bucket{{{labels}}} {count:g}"
        if r.random() < 0.1:
            line += " 1700000000" if openmetrics else " 1700000000000"
        if openmetrics and r.random() < 0.3:
            line += f' # {{trace_id="{r.randrange(99)}"}} {r.random():.3f}' + " 1700000001.5" * (r.random() < 0.7)
        lines.append(line + "\n")
    if r.random() < 0.1:
        r.shuffle(lines)
    braces = f"{{{other}}}" if other else ""
    total = count if r.random() < 0.93 else count + 1
    tail = [f"{name}_count{braces} {total:g}\n"] * (r.random() < 0.9) + [f"{name}_sum{braces} {r.random():.3f}\n"] * (
        r.random() < 0.9
    )
    if r.random() < 0.2:
        tail.reverse()
    lines = tail + lines if r.random() < 0.15 else lines + tail
    if openmetrics and r.random() < 0.4:
        lines.append(f"{name}_created{braces} 1600000000.25\n")
    if r.random() < 0.1:
        lines.append(f"{name}_other{braces} 3\n")
    return lines


def mutated(r: random.Random, body: bytes, others: Sequence[bytes]) -> bytes:
    """A few bytes changed, lost, doubled or brought over from another document."""
    found = bytearray(body)
    for _ in range(r.choice([1, 1, 2, 4])):
        at = r.randrange(len(found) + 1)
        match r.randrange(6):
            case 0 if at < len(found):
                found[at] = r.choice(b'{}",=\\\n #\x00\xff\xc3aE1. \t') if r.random() < 0.8 else r.randrange(256)
            case 1:
                del found[at : at + r.choice([1, 1, 2, 5])]
            case 2:
                found[at:at] = bytes(
                    r.choice([b'"', b"\\", b"\x00", b" ", b"\n", b"#", b",", b"\xff", b"}", b"\x00\x00"])
                )
            case 3:
                found[at:at] = found[at : at + r.randrange(1, 9)]
            case 4:
                other = r.choice(others)
                start = r.randrange(len(other) + 1)
                found[at:at] = other[start : start + r.randrange(1, 12)]
            case _:
                del found[at:]
    return bytes(found)


def openmetrics_corpus(seed: int, count: int) -> Iterator[bytes]:
    """`count` documents: half as they were made, half mutated."""
    r = random.Random(seed)
    made = [openmetrics_document(r) for _ in range(count // 2)]
    yield from made
    for _ in range(count - len(made)):
        yield mutated(r, r.choice(made), made)


def protobuf_document(r: random.Random) -> bytes:
    """Families of every type, with whatever a writer may leave out left out now and then."""
    return b"".join(_delimited(_family(r).SerializeToString()) for _ in range(r.choice([0, 1, 1, 2, 3])))


def _delimited(message: bytes) -> bytes:
    return varint(len(message)) + message


def _family(r: random.Random) -> pb.MetricFamily:
    kind = r.choice([0, 1, 2, 3, 4, 4, 4, 5, 5] if r.random() < 0.97 else [6, -1, 99])
    family = pb.MetricFamily(name=r.choice([b"a", b"h_seconds", "größe".encode(), b"x.y"]))
    if r.random() < 0.03:
        family.name = r.choice([b"", b"\xff", b" "])
    if kind or r.random() < 0.5:
        family.type = kind
    if r.random() < 0.5:
        family.help = r.choice([b"", b"text", "é\n".encode()] if r.random() < 0.95 else [b"\xc3"])
    if r.random() < 0.2:
        family.unit = r.choice([b"", b"seconds", b"\xff"])
    for _ in range(r.choice([0, 1, 1, 1, 2, 3])):
        family.metric.append(_metric(r, kind).SerializeToString())
    return family


def _metric(r: random.Random, kind: int) -> pb.Metric:
    metric = pb.Metric()
    for _ in range(r.choice([0, 1, 2, 3])):
        pair = pb.LabelPair(name=r.choice([b"b", b"le", b"l.x", b"__name__"]))
        if r.random() < 0.95:
            pair.value = r.choice([b"", b"v", "é世".encode(), b"x" * 130] if r.random() < 0.97 else [b"\xff"])
        metric.label.append(pair.SerializeToString())
    if r.random() < 0.2:
        metric.timestamp_ms = r.choice([0, 1, -1, 1_700_000_000_123])
    match kind:
        case 0:
            _counter(r, metric.counter)
        case 1:
            metric.gauge.value = _number(r)
        case 2:
            _summary(r, metric.summary)
        case 3:
            metric.untyped.value = _number(r)
        case 4 | 5:
            _histogram(r, metric.histogram)
    return metric


def _number(r: random.Random) -> float:
    return r.choice([0.0, 1.0, -0.0, 1.5, -3.0, math.inf, -math.inf, math.nan, 1e300, 5e-324])


def _stamp(r: random.Random, stamp: pb.Timestamp) -> None:
    stamp.seconds = r.choice([0, 1_700_000_000, -5])
    if r.random() < 0.7:
        stamp.nanos = r.choice([0, 1, 999_999_999, 1_500_000, -2_000_000])


def _exemplar(r: random.Random, exemplar: pb.Exemplar) -> None:
    for _ in range(r.choice([0, 1, 2])):
        exemplar.label.add(name=r.choice([b"trace_id", b"a", b"\xff"]), value=r.choice([b"1", b"", b"\xfe"]))
    exemplar.value = _number(r)
    if r.random() < 0.7:
        _stamp(r, exemplar.timestamp)


def _counter(r: random.Random, counter: pb.Counter) -> None:
    counter.value = _number(r)
    if r.random() < 0.4:
        _exemplar(r, counter.exemplar)
    if r.random() < 0.4:
        _stamp(r, counter.start_timestamp)


def _summary(r: random.Random, summary: pb.Summary) -> None:
    summary.sample_count = r.choice([0, 1, 2**63, 2**64 - 1, 17])
    summary.sample_sum = _number(r)
    for _ in range(r.choice([0, 1, 3])):
        summary.quantile.add(quantile=r.choice([0.0, 0.5, 0.99, 1.0, math.nan]), value=_number(r))
    if r.random() < 0.4:
        _stamp(r, summary.start_timestamp)


def _histogram(r: random.Random, histogram: pb.Histogram) -> None:
    if r.random() < 0.7:
        _classic_buckets(r, histogram)
    if r.random() < 0.6:
        _native_buckets(r, histogram)
    if r.random() < 0.4:
        _stamp(r, histogram.start_timestamp)
    if r.random() < 0.3:
        for _ in range(r.choice([1, 2, 3])):
            _exemplar(r, histogram.exemplars.add())


def _classic_buckets(r: random.Random, histogram: pb.Histogram) -> None:
    is_float = r.random() < 0.2
    count = 0.0
    bounds = sorted(r.sample([-1.0, 0.1, 0.5, 1.0, 2.5, 1e6], r.randrange(5)))
    for bound in bounds + [math.inf] * (r.random() < 0.6) + [1e9] * (r.random() < 0.05):
        count += r.choice([0, 0, 1, 5]) if r.random() < 0.97 else -3
        bucket = histogram.bucket.add(upper_bound=bound)
        if is_float:
            bucket.cumulative_count_float = count + 0.5 * (r.random() < 0.5)
        else:
            bucket.cumulative_count = max(0, int(count))
        if r.random() < 0.3:
            _exemplar(r, bucket.exemplar)
    total = max(0.0, count + (r.random() < 0.1))
    if is_float:
        histogram.sample_count_float = total
    else:
        histogram.sample_count = int(total)
    histogram.sample_sum = _number(r)


def _native_buckets(r: random.Random, histogram: pb.Histogram) -> None:
    is_float = r.random() < 0.3
    histogram.schema = r.choice([-4, 0, 3, 8, 8, 9, 52, 53, -53, -5] if r.random() < 0.1 else [-4, 0, 2, 3, 5, 8])
    histogram.zero_threshold = r.choice([0.0, 1e-128, 0.001])
    zero = r.choice([0, 0, 2])
    total = float(zero)
    for spans, deltas, counts in (
        (histogram.positive_span, histogram.positive_delta, histogram.positive_count),
        (histogram.negative_span, histogram.negative_delta, histogram.negative_count),
    ):
        before = 0
        for number in range(r.choice([0, 1, 1, 2, 4])):
            length = r.choice([0, 1, 2, 3, 5])
            offset = r.choice([0, 1, 2, 5] if number and r.random() < 0.98 else [-7, 0, 3])
            spans.add(offset=offset, length=length)
            for _ in range(length if r.random() < 0.99 else 2):
                count = r.choice([0, 0, 1, 4]) if r.random() < 0.99 else -2
                deltas.append(count - before)
                counts.append(count + 0.25 * (count != 0))
                before = count
                total += count
        del (deltas if is_float else counts)[:]
    if is_float:
        histogram.zero_count_float = float(zero)
        histogram.sample_count_float = total
    else:
        histogram.zero_count = zero
        histogram.sample_count = max(0, int(total)) + (r.random() < 0.05)


def protobuf_corpus(seed: int, count: int) -> Iterator[bytes]:
    """`count` documents: most as they were made, some mutated."""
    r = random.Random(seed)
    made = [protobuf_document(r) for _ in range(count * 2 // 3)]
    yield from made
    for _ in range(count - len(made)):
        yield mutated(r, r.choice(made), made)
