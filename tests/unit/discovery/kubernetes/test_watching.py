"""Lists, watches and everything that interrupts them, with an API server by script."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.config.sd.kubernetes import KubernetesSDConfig
from pipeline.discovery.kubernetes import discoverer, reflector, watching
from tests.support import kubernetes_objects as objects
from tests.support.discovering import Found, discovering, surroundings
from tests.support.scripted_kubernetes import ScriptedKubernetes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager


class QuickClock:
    """Real time, but whoever rests does so a hundred times shorter."""

    def now(self) -> float:
        raise AssertionError("nobody asks")

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s / 100)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedKubernetes]:
    async with ScriptedKubernetes().serving() as serving:
        yield serving


def found_at(server: ScriptedKubernetes, **settings: Any) -> AbstractAsyncContextManager[Found]:
    config = KubernetesSDConfig.model_validate({"role": "pod", "api_server": server.url, **settings})
    around = surroundings("kubernetes", clock=QuickClock())
    return discovering(discoverer(config, around), around)


def pod(number: int, **more: Any) -> objects.Object:
    return objects.pod(f"p-{number}", ip=f"10.0.{number // 256}.{number % 256}", **more)


async def test_a_list_comes_in_pages_and_is_published_whole(server, monkeypatch):
    monkeypatch.setattr(reflector, "PAGE_OBJECTS", 10)
    server.put("pods", *(pod(number) for number in range(35)))
    async with found_at(server) as found:
        await found.until(lambda: found.groups)
        assert len(found.groups) == 35
        assert found.published == 1
    lists = server.asked(watch=False)
    assert [query.get("continue", "") for query in lists] == ["", "10-135", "20-135", "30-135"]
    assert {query["limit"] for query in lists} == {"10"}


async def test_nothing_found_is_published_too(server):
    async with found_at(server) as found:
        await found.until(lambda: found.published)
        assert found.groups == {}


async def test_a_watch_begins_where_the_list_ended_and_wants_bookmarks(server):
    server.put("pods", pod(1))
    async with found_at(server) as found:
        await found.until(lambda: server.watches)
        (query,) = server.asked(watch=True)
        assert query["resourceVersion"] == "101"
        assert query["allowWatchBookmarks"] == "true"
        assert 300 <= int(query["timeoutSeconds"]) <= 600


async def test_changes_follow_and_an_interrupted_watch_goes_on_where_it_was(server, caplog):
    server.put("pods", pod(1), pod(2))
    async with found_at(server) as found:
        await found.until(lambda: server.watches)
        server.put("pods", pod(3))
        server.remove("pods", "p-1")
        await found.until(lambda: sorted(found.groups) == ["pod/shop/p-2", "pod/shop/p-3"])
        server.hang_up()
        await found.until(lambda: len(server.asked(watch=True)) == 2)
        assert server.asked(watch=True)[1]["resourceVersion"] == str(server.version)
        server.put("pods", pod(4))
        await found.until(lambda: "pod/shop/p-4" in found.groups)
    assert len(server.asked(watch=False)) == 1
    assert caplog.records == []


async def test_a_watch_that_is_cut_is_nothing_to_speak_of(server, caplog):
    async with found_at(server) as found:
        await found.until(lambda: server.watches)
        server.cut()
        await found.until(lambda: len(server.asked(watch=True)) == 2)
    assert caplog.records == []


async def test_bookmarks_move_the_place_from_which_a_watch_goes_on(server):
    async with found_at(server) as found:
        await found.until(lambda: server.watches)
        server.send({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "777"}}})
        server.hang_up()
        await found.until(lambda: len(server.asked(watch=True)) == 2)
        assert server.asked(watch=True)[1]["resourceVersion"] == "777"
        assert found.groups == {}


@pytest.mark.parametrize("how", ["status", "event"])
async def test_lost_history_means_a_new_list_and_only_what_changed_is_told(server, how):
    server.put("pods", pod(1), pod(2), pod(3))
    async with found_at(server) as found:
        await found.until(lambda: server.watches)
        kept = found.groups["pod/shop/p-1"]
        times = found.published
        watch = server.hang_up
        if how == "event":
            gone = {"code": 410, "reason": "Expired", "message": "too old resource version"}
            watch = lambda: server.send({"type": "ERROR", "object": gone})  # noqa: E731
        queues, server._watches = server._watches, []  # nobody is told of what happens now
        server.put("pods", pod(2, labels={"new": "1"}))
        server.remove("pods", "p-3")
        server._watches = queues
        server.forget()
        watch()
        await found.until(lambda: "pod/shop/p-3" not in found.groups)
        assert "__meta_kubernetes_pod_label_new" in found.groups["pod/shop/p-2"].labels
        assert found.groups["pod/shop/p-1"] is kept
        assert found.published == times + 1
        assert found.around.trouble.reasons == []
    assert len(server.asked(watch=False)) == 2


async def test_a_list_that_becomes_too_old_between_two_pages_begins_anew(server, monkeypatch, caplog):
    monkeypatch.setattr(reflector, "PAGE_OBJECTS", 2)
    server.put("pods", *(pod(number) for number in range(5)))
    answer = server._list

    def forgetful(resource: str, query: dict[str, str]) -> Any:
        if len(server.asked(watch=False)) == 2:
            server.put("pods", pod(9))
            server.forget()
        return answer(resource, query)

    monkeypatch.setattr(server, "_list", forgetful)
    async with found_at(server) as found:
        await found.until(lambda: len(found.groups) == 6)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ((403, "pods is forbidden"), "/api/v1/pods: the API server answered 403 Forbidden: pods is forbidden"),
        ((401, "Unauthorized"), "/api/v1/pods: the API server answered 401 Unauthorized: Unauthorized"),
        ((500, "x" * 9999), f"/api/v1/pods: the API server answered 500 Internal Server Error: {'x' * 500}"),
    ],
)
async def test_a_refusal_is_said_once_counted_and_survived(server, refusal, reason, caplog):
    caplog.set_level(logging.INFO)
    server.put("pods", pod(1))
    async with found_at(server) as found:
        await found.until(lambda: server.watches)
        server.refuse = refusal
        server.hang_up()
        before = len(server.requests)
        await found.until(lambda: len(server.requests) > before + 3)
        assert found.around.trouble.reasons == [reason]
        assert len(found.groups) == 1
        server.refuse = None
        await found.until(lambda: server.watches)
        assert found.around.trouble.reasons == []
    said = [record.getMessage() for record in caplog.records if "discovery" in record.name]
    assert said == [
        f"kubernetes discovery: {reason}; the targets it had stay",
        "kubernetes discovery of /api/v1/pods works again",
    ]
    counted = found.around.failures.labels("kubernetes")._value.get()
    assert counted >= 3


async def test_the_server_says_how_long_to_wait(server):
    waits: list[float] = []

    class Listening(QuickClock):
        async def sleep(self, delay_s: float) -> None:
            waits.append(delay_s)
            await super().sleep(delay_s)

    server.refuse, server.retry_after = (429, "slow down"), "7"
    config = KubernetesSDConfig.model_validate({"role": "pod", "api_server": server.url})
    around = surroundings("kubernetes", clock=Listening())
    async with discovering(discoverer(config, around), around) as found:
        await found.failed()
        await found.until(lambda: any(wait == 7.0 for wait in waits))


async def test_an_absent_server_is_said_once_for_all_that_is_asked(caplog):
    async with ScriptedKubernetes().serving() as server:
        url = server.url
    config = KubernetesSDConfig.model_validate({"role": "endpointslice", "api_server": url})
    around = surroundings("kubernetes", clock=QuickClock())
    async with discovering(discoverer(config, around), around) as found:
        assert await found.failed() == f"{url}: connection refused"
        await found.until(lambda: around.failures.labels("kubernetes")._value.get() > 6)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"[]\n",
        b'{"type": "ADDED"}\n',
        b'{"type": "ERROR", "object": {"code": 500, "reason": "InternalError", "message": "etcd"}}\n',
    ],
)
async def test_nonsense_in_a_watch_is_said_and_the_watch_begun_anew(server, line):
    server.put("pods", pod(1))
    async with found_at(server) as found:
        await found.until(lambda: server.watches)
        server.send(line)
        await found.until(lambda: len(server.asked(watch=True)) > 1)
        server.put("pods", pod(2))
        await found.until(lambda: len(found.groups) == 2)
        assert found.around.failures.labels("kubernetes")._value.get() >= 1


async def test_an_object_that_is_not_understood_costs_no_other(server):
    server.put("pods", pod(1), {"metadata": {"name": "odd", "namespace": "shop"}, "spec": ["?"]}, pod(2))
    async with found_at(server) as found:
        await found.until(lambda: len(found.groups) == 2)


async def test_a_silent_watch_is_taken_for_dead_and_begun_anew(server, monkeypatch):
    monkeypatch.setattr(reflector, "SILENCE_S", 0.05)
    async with found_at(server) as found:
        await found.until(lambda: len(server.asked(watch=True)) >= 3)
        assert found.around.trouble.reasons == []
    assert len(server.asked(watch=False)) == 1


async def test_selectors_are_sent_and_one_node_is_asked_of_the_cache(server):
    selectors = [{"role": "pod", "label": "app=cart", "field": "spec.nodeName=n-1"}]
    async with found_at(server, selectors=selectors) as found:
        await found.until(lambda: server.watches)
    (listed,), (watched,) = server.asked(watch=False), server.asked(watch=True)
    assert (listed["labelSelector"], listed["fieldSelector"]) == ("app=cart", "spec.nodeName=n-1")
    assert (watched["labelSelector"], watched["fieldSelector"]) == ("app=cart", "spec.nodeName=n-1")
    assert listed["resourceVersion"] == "0"


async def test_a_whole_cluster_is_asked_for_as_it_is_now(server):
    async with found_at(server, selectors=[{"role": "pod", "field": "status.phase=Running"}]) as found:
        await found.until(lambda: server.watches)
    assert "resourceVersion" not in server.asked(watch=False)[0]


async def test_each_namespace_is_asked_by_itself_and_nodes_once(server):
    server.put("pods", pod(1, node="n"))
    server.put("nodes", objects.node("n", []))
    settings = {"namespaces": {"names": ["shop", "other"]}, "attach_metadata": {"node": True}}
    async with found_at(server, **settings) as found:
        await found.until(lambda: found.groups)
    paths = [path for path, query in server.requests if "watch" not in query]
    assert sorted(paths) == ["/api/v1/namespaces/other/pods", "/api/v1/namespaces/shop/pods", "/api/v1/nodes"]


async def test_nothing_is_told_before_everything_that_a_target_leans_on_is_known(server, monkeypatch):
    server.put("pods", pod(1, node="n"))
    server.put("nodes", objects.node("n", [], labels={"zone": "a"}))
    answer, may_answer = server._answer, asyncio.Event()

    async def slow(request: Any) -> Any:
        if request.path.endswith("/nodes"):
            await may_answer.wait()
        return await answer(request)

    monkeypatch.setattr(ScriptedKubernetes, "_answer", staticmethod(slow))
    async with ScriptedKubernetes().serving() as slowed:
        server = slowed
        async with found_at(server, attach_metadata={"node": True}) as found:
            await asyncio.sleep(0.1)
            assert found.published == 0
            may_answer.set()
            await found.until(lambda: found.groups)
            assert found.labels[0]["__meta_kubernetes_node_label_zone"] == "a"


async def test_changes_are_gathered_after_a_publication(server):
    config = KubernetesSDConfig.model_validate({"role": "pod", "api_server": server.url})
    around = surroundings("kubernetes")  # its clock stands still
    discovery = discoverer(config, around)
    async with discovering(discovery, around) as found:
        await found.until(lambda: server.watches and found.published)
        server.put("pods", *(pod(number) for number in range(100)))
        server.put("pods", objects.pod("waiting", ip=""))
        await found.until(lambda: len(discovery._dirty) == 101)
        assert found.published == 1
        await found.look_again(watching.GATHER_S)
        await found.until(lambda: len(found.groups) == 100)
        assert found.published == 2


async def test_objects_without_targets_are_no_news(server):
    config = KubernetesSDConfig.model_validate({"role": "pod", "api_server": server.url})
    around = surroundings("kubernetes")
    discovery = discoverer(config, around)
    async with discovering(discovery, around) as found:
        await found.until(lambda: server.watches and found.published)
        server.put("pods", objects.pod("waiting", ip=""))
        await found.until(lambda: discovery._dirty)
        await found.look_again(watching.GATHER_S)
        await found.until(lambda: not discovery._dirty)
        assert found.published == 1


async def test_a_change_that_no_label_shows_is_not_told(server):
    server.put("pods", pod(1))
    async with found_at(server) as found:
        await found.until(lambda: server.watches)
        before = found.groups["pod/shop/p-1"]
        server.put("pods", {**pod(1), "status": {**pod(1)["status"], "startTime": "2026-01-01T00:00:00Z"}})
        server.put("pods", pod(2))
        await found.until(lambda: len(found.groups) == 2)
        assert found.groups["pod/shop/p-1"] is before


async def test_a_pod_without_an_address_is_not_told_until_it_has_one(server):
    server.put("pods", objects.pod("p", ip=""))
    async with found_at(server) as found:
        await found.until(lambda: server.watches)
        assert (found.published, found.groups) == (1, {})
        server.put("pods", objects.pod("p", ip="10.0.0.1"))
        await found.until(lambda: found.groups)
        server.put("pods", objects.pod("p", ip=""))
        await found.until(lambda: not found.groups)


async def test_the_token_file_is_read_anew_at_each_request(server, tmp_path):
    (tmp_path / "token").write_text("old")
    async with found_at(server, authorization={"credentials_file": str(tmp_path / "token")}) as found:
        await found.until(lambda: server.watches)
        (tmp_path / "token").write_text("renewed\n")
        server.hang_up()
        await found.until(lambda: server.authorizations[-1] == "Bearer renewed")
    assert server.authorizations[0] == "Bearer old"


async def test_a_file_that_is_not_there_is_waited_for(tmp_path, server):
    file = tmp_path / "kubeconfig.yml"
    config = KubernetesSDConfig.model_validate({"role": "pod", "kubeconfig_file": str(file)})
    around = surroundings("kubernetes", clock=QuickClock())
    server.put("pods", pod(1))
    async with discovering(discoverer(config, around), around) as found:
        assert "kubeconfig.yml cannot be used" in await found.failed()
        file.write_text(KUBECONFIG.format(url=server.url))
        await found.until(lambda: found.groups)
        assert around.trouble.reasons == []
    assert server.authorizations[0] == "Bearer t0ken"


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters: [{{name: k, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{token: t0ken}}}}]
"""
