"""What discovery of many pods costs: memory, CPU, and the time from a pod to its target.

`python -m tests.bench.kubernetes [--pods N]`. The API server is one by script, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from pipeline.clock import SystemClock
from pipeline.config.sd.kubernetes import KubernetesSDConfig
from tests.bench.meter import cpu_s, rss_mb
from tests.support.discovering import surroundings
from tests.support.mesh_pods import mesh_pod
from tests.support.scripted_kubernetes import ScriptedKubernetes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from pipeline.discovery.target_group import TargetGroup

_BORN = "__meta_kubernetes_pod_annotation_born"


def main() -> int:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000)
    arguments = parser.parse_args()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, arguments.pods), daemon=True)
    server.start()
    url = ours.recv()
    try:
        found = asyncio.run(_measure(url, arguments.pods, ours))
    finally:
        server.terminate()
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


async def _measure(url: str, pods: int, server: Connection) -> dict[str, Any]:
    found: dict[str, Any] = {"pods": pods, "python_mb": rss_mb(os.getpid())}
    from pipeline.discovery.kubernetes import discoverer  # noqa: PLC0415 — its memory is measured apart

    imported = found["with_library_mb"] = rss_mb(os.getpid())
    groups: dict[str, TargetGroup] = {}
    delays: list[float] = []

    def publish(changed: Sequence[TargetGroup]) -> None:
        for group in changed:
            groups[group.source] = group
            if _BORN in group.labels:
                delays.append(time.time() - float(group.labels[_BORN]))

    config = KubernetesSDConfig.model_validate({"role": "pod", "api_server": url})
    async with asyncio.TaskGroup() as tasks:
        spent, began = cpu_s(os.getpid()), time.perf_counter()
        running = tasks.create_task(discoverer(config, surroundings("kubernetes", clock=SystemClock())).run(publish))
        await _until(lambda: len(groups) == pods)
        found["first_publication_s"] = round(time.perf_counter() - began, 2)
        found["cpu_s"] = round(cpu_s(os.getpid()) - spent, 2)
        gc.collect()
        found["with_pods_mb"] = rss_mb(os.getpid())
        found["kb_a_pod"] = round((found["with_pods_mb"] - imported) / pods * 1000, 2)
        for count in (1, 1000):
            delays.clear()
            server.send(count)
            await _until(lambda count=count: len(delays) == count)
            found[f"pod_to_target_ms_of_{count}"] = round(max(delays) * 1000)
        running.cancel()
    return found


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def _serve(orders: Connection, pods: int) -> None:
    """Serve so many pods, and create as many more as is ordered."""

    async def serve() -> None:
        server = ScriptedKubernetes()
        server.put("pods", *(mesh_pod(number) for number in range(pods)))
        count = pods
        async with server.serving():
            orders.send(server.url)
            while True:
                more = [mesh_pod(count + number) for number in range(await asyncio.to_thread(orders.recv))]
                count += len(more)
                for one in more:
                    one["metadata"]["annotations"]["born"] = str(time.time())
                server.put("pods", *more)

    asyncio.run(serve())


if __name__ == "__main__":
    sys.exit(main())
