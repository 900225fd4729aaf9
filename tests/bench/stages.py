"""What stages cost: `python -m tests.bench.stages` prints microseconds of CPU a line, decoding and encoding included.

Lines are CRI with an Envoy access log in JSON of 525 bytes, read from memory in blocks of 256 KiB; each row adds its
stages to `cri`. The second column leaves out what `cri` and the encoding cost.
"""

from __future__ import annotations

import json
import time

import yaml

from pipeline.clock import SystemClock
from pipeline.config.stages import PipelineStage, named
from pipeline.tail.decoders import Decoders
from pipeline.tail.metrics import TailMetrics
from pipeline.tail.options import TailOptions
from pipeline.tail.streams import PathStreams
from pipeline.tail.targets import LogTarget
from pipeline.telemetry.metrics import Telemetry

LABELS = {
    "namespace": "shop",
    "pod": "cart-7d9f",
    "container": "istio-proxy",
    "app": "cart",
    "job": "integrations/istio",
}
BLOCK_LINES = 480
BLOCKS = 40
RUNS = 7
TEXT = "Mozilla/5.0 (X11; Linux x86_64)"
JSON_STAGE = "json: {expressions: {method: , path: , code: response_code, flags: response_flags, id: request_id}}"
REGEX = 'regex: {expression: \'"method":"(?P<method>[A-Z]+)".*"response_code":(?P<code>[0-9]+)\'}'
ROWS = {
    "cri alone (whole blocks)": [],
    "cri among stages": ["static_labels: {a: b}"],
    "json, 5 values": [JSON_STAGE],
    "json, JMESPath": ["json: {expressions: {code: 'to_string(response_code)'}}"],
    "json, labels, structured_metadata": [JSON_STAGE, "labels: {method: }", "structured_metadata: {path: , id: }"],
    "regex, 2 groups": [REGEX],
    "pattern": ['pattern: {pattern: \'<_>"method":"<method>"<_>\'}'],
    "logfmt": ["logfmt: {mapping: {a: }}"],
    "match |=": ['match: {selector: \'{app="cart"} |= "zzz"\', action: drop}'],
    "drop, plain word": ["drop: {expression: zzz}"],
    "drop, expression": ["drop: {expression: 'z+q'}"],
    "timestamp RFC3339Nano": ["json: {expressions: {t: start_time}}", "timestamp: {source: t, format: RFC3339Nano}"],
    "template, 1 function": ["template: {source: x, template: '{{ .app | ToUpper }}'}"],
    "replace": ["replace: {expression: 'request_id\":\"(\\S+?)\"', replace: 'x'}"],
    "multiline": ["multiline: {firstline: '^.'}"],
    "metrics, counter": ["metrics: {n: {type: counter, config: {action: inc, match_all: true}}}"],
    "pack": ["pack: {labels: [pod]}"],
    "truncate": ["truncate: {rules: [{limit: 200}]}"],
    "decolorize": ["decolorize: {}"],
    "limit": ["limit: {rate: 1000000000, burst: 1000000, drop: true}"],
    "sampling": ["sampling: {rate: 1}"],
    "envoy, JSON": ["envoy: {}"],
    "envoy, JSON, 5 fields": ["envoy: {fields: [method, path, response_code, request_id, response_flags]}"],
}


def access_line(number: int) -> str:
    """One access log as Istio's JSON encoding writes it; 525 bytes with the CRI prefix."""
    fields = {
        "start_time": f"2026-01-02T03:04:05.{number % 1000:03d}Z", "method": "GET", "path": f"/cart/{number % 500}",
        "protocol": "HTTP/1.1", "response_code": 200 if number % 20 else 503, "response_flags": "-",
        "response_code_details": "via_upstream", "connection_termination_details": None,
        "upstream_transport_failure_reason": None, "bytes_received": 0, "bytes_sent": number % 700,
        "duration": number % 90, "upstream_service_time": str(number % 90), "x_forwarded_for": None, "user_agent": TEXT,
        "request_id": f"3fe8f3b2-0000-4000-8000-{number:012d}", "authority": "cart:8080",
        "upstream_host": f"10.0.{number % 4}.7:8080", "upstream_cluster": "inbound|8080||",
        "upstream_local_address": f"127.0.0.6:{number % 20000 + 20000}", "downstream_local_address": "10.0.1.7:8080",
        "downstream_remote_address": f"10.0.2.{number % 200}:{number % 20000 + 30000}",
        "requested_server_name": None, "route_name": "default",
    }  # fmt: skip
    return json.dumps(fields, separators=(",", ":"))


def block(first: int) -> bytes:
    """Many of them as a container runtime writes them."""
    lines = [
        f"2026-01-02T03:04:05.{number * 40_000 + 500_000:09d}Z stdout F {access_line(number)}\n"
        for number in range(first, first + BLOCK_LINES)
    ]
    return "".join(lines).encode()


def micros(stages: list[str], blocks: list[bytes]) -> float:
    """CPU a line: of each block the best of some runs, for the machine does other things too."""
    chosen = [PipelineStage.model_validate(yaml.safe_load(stage)) for stage in stages]
    steps = (("cri", None), *named(tuple(chosen))) if stages else ()
    target = LogTarget("bench", "/x", "", tuple(sorted(LABELS.items())), cri=not stages, stages=steps)
    streams = PathStreams(LABELS | {"filename": "/var/log/pods/x/0.log"}, 32)
    best = [float("inf")] * len(blocks)
    for _ in range(RUNS):
        decoder = Decoders(TailMetrics(Telemetry()), SystemClock(), TailOptions()).of(target, streams)
        offset = 0
        for number, data in enumerate(blocks):
            begin = time.process_time()
            for lines in decoder.decode(data, offset, 1):
                streams.fragment(lines)
            decoder.pending_from(1)
            best[number] = min(best[number], time.process_time() - begin)
            offset += len(data)
    return sum(best) / (BLOCK_LINES * len(blocks)) * 1e6


def main() -> None:
    """Print the table."""
    blocks = [block(number * BLOCK_LINES) for number in range(BLOCKS)]
    print(f"{len(blocks[0]) / BLOCK_LINES:.0f} bytes a line")
    base = 0.0
    for name, stages in ROWS.items():
        spent = micros(stages, blocks)
        base = spent if name == "cri among stages" else base
        print(f"{name:36} {spent:6.2f} {max(0.0, spent - base):6.2f}")


if __name__ == "__main__":
    main()
