"""Documents to hold our parsers to: handmade ones, nasty ones, and what mutation makes of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

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
