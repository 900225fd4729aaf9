"""Expositions as Istio's sidecars give them: 330 bytes a series, mostly histograms, every value new each second."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

BUCKETS = (
    *("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000"),
    *("10000", "30000", "60000", "300000", "600000", "1800000", "3600000", "+Inf"),
)
CODES = ("200", "200", "200", "404", "503")


def heads(target: int, count: int) -> list[tuple[str, bool]]:
    """The series of a target as written, and whether their values are whole numbers."""
    found: list[tuple[str, bool]] = []
    edge = 0
    while len(found) < count:
        edge += 1
        found += _edge(target, edge)
    return found[:count]


def _edge(target: int, edge: int) -> Iterator[tuple[str, bool]]:
    """What Istio keeps of one caller and one callee: a counter and a histogram."""
    client, service, namespace = f"client-{edge % 11}", f"service-{edge % 37:02d}", f"shop-{edge % 7}"
    labels = (
        f'reporter="destination",source_workload="{client}",source_workload_namespace="{namespace}",'
        f'destination_workload="{service}",destination_service="{service}.{namespace}.svc.cluster.local",'
        f'request_protocol="http",response_code="{CODES[edge % len(CODES)]}",response_flags="-",'
        f'pod="{service}-7d9c5b-{target}-{edge}"'
    )
    name = "istio_request_duration_milliseconds"
    yield f"istio_requests_total{{{labels}}} ", True
    for bound in BUCKETS:
        yield f'{name}_bucket{{{labels},le="{bound}"}} ', True
    yield f"{name}_sum{{{labels}}} ", False
    yield f"{name}_count{{{labels}}} ", True


def bodies(target: int, count: int, variants: int, kind: str = "text") -> Iterator[bytes]:
    """`variants` bodies of the same series; each value grows from one to the next.

    `kind`: `text`; `openmetrics`, where one line in twenty has an exemplar, a third of them new each time; `churn`,
    where 5 % of the series are replaced by others each time (`variants` is to be a multiple of 40).
    """
    chance = random.Random(target)
    series = [
        (head, whole, chance.randrange(100, 200_000), chance.randrange(1, 30)) for head, whole in heads(target, count)
    ]
    for variant in range(variants):
        lines = ["# TYPE istio_requests_total counter"] if kind != "openmetrics" else []
        for number, (head, whole, base, step) in enumerate(series):
            value = base + variant * step
            line = head + (str(value) if whole else repr(round(value * 3.7 + variant * 0.123456, 6)))
            if kind == "churn":
                line = _renewed(line, number, variant)
            elif kind == "openmetrics" and number % 20 == 0:
                line += _exemplar(number, variant if number % 3 == 0 else 0)
            lines.append(line)
        if kind == "openmetrics":
            lines.append("# EOF")
        yield ("\n".join(lines) + "\n").encode()


def _renewed(line: str, number: int, variant: int) -> str:
    """The same line of another pod, for half of the time: which half, differs by edge."""
    edge = number // (len(BUCKETS) + 3) % 20
    return line.replace('pod="', 'pod="new-') if edge <= variant % 40 < edge + 20 else line


def _exemplar(number: int, variant: int) -> str:
    return f' # {{trace_id="{number * 7919 + variant:032x}"}} {number % 100}.5 {1_700_000_000 + variant}.123'


class Rotation:
    """Files under a web root that are replaced, all at once and each atomically, by the next variant."""

    def __init__(self, root: Path, *, targets: int, series: int, variants: int, kind: str = "text") -> None:
        folder = "openmetrics/" if kind == "openmetrics" else ""
        self.paths = [f"/{folder}target-{target}" for target in range(targets)]
        self.bytes_per_series = 0.0
        self._root = root
        (root / folder).mkdir(exist_ok=True)
        self._store = root.with_name("variants")
        self._store.mkdir()
        self._variants = variants
        self._turn = 0
        for target in range(targets):
            for variant, body in enumerate(bodies(target, series, variants, kind)):
                self._file(target, variant).write_bytes(body)
                self.bytes_per_series = len(body) / series
        self.advance()

    def advance(self) -> None:
        """The next variant for every target; nothing is copied."""
        for target, path in enumerate(self.paths):
            fresh = self._root / f".fresh-{target}"
            os.link(self._file(target, self._turn % self._variants), fresh)
            fresh.replace(self._root / path.lstrip("/"))
        self._turn += 1

    def _file(self, target: int, variant: int) -> Path:
        return self._store / f"{target}-{variant}"
