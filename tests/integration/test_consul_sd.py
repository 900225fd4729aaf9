"""consul_sd against a real Consul."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.clock import SystemClock
from pipeline.config.sd.consul import ConsulSDConfig
from pipeline.discovery import consul as consul_module
from pipeline.discovery.consul import discoverer
from tests.peers import catalogue
from tests.support.consul import Consul
from tests.support.discovering import discovering, surroundings
from tests.support.server import require

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.consul

META = "__meta_consul_"


@pytest.fixture
def consul() -> Iterator[Consul]:
    server = Consul(require(catalogue.CONSUL))
    server.start()
    yield server
    server.close()


def running(consul: Consul, **more: Any):
    """Blocking queries need a clock that goes; changes are told within the interval."""
    around = surroundings("consul", clock=SystemClock())
    settings = {"server": f"127.0.0.1:{consul.port}", "refresh_interval": 0.1, **more}
    return discovering(discoverer(ConsulSDConfig.model_validate(settings), around), around)


async def test_every_label_of_an_instance(consul: Consul) -> None:
    consul.put("/catalog/register", {
        "Node": "n2",
        "Address": "10.0.0.2",
        "NodeMeta": {"rack-id": "7"},
        "TaggedAddresses": {"lan": "10.0.0.2", "wan": "198.51.100.2"},
        "Service": {
            "ID": "web-1", "Service": "web", "Address": "10.1.0.2", "Port": 8080, "Tags": ["prod", "v1"],
            "Meta": {"team-name": "us"},
        },
        "Checks": [{"CheckID": "c", "Name": "c", "Status": "warning", "ServiceID": "web-1"}],
    })  # fmt: skip
    async with running(consul, services=("web",)) as found:
        await found.until(lambda: found.addresses)
        assert found.labels == [
            {
                "__address__": "10.1.0.2:8080",
                f"{META}address": "10.0.0.2",
                f"{META}dc": "dc1",
                f"{META}health": "warning",
                f"{META}metadata_rack_id": "7",
                f"{META}namespace": "",
                f"{META}node": "n2",
                f"{META}partition": "",
                f"{META}service": "web",
                f"{META}service_address": "10.1.0.2",
                f"{META}service_id": "web-1",
                f"{META}service_metadata_team_name": "us",
                f"{META}service_port": "8080",
                f"{META}tagged_address_lan": "10.0.0.2",
                f"{META}tagged_address_wan": "198.51.100.2",
                f"{META}tags": ",prod,v1,",
            }
        ]


async def test_services_come_change_and_go(consul: Consul) -> None:
    async with running(consul) as found:
        await found.until(lambda: "consul" in found.groups)
        consul.register("web", 80)
        await found.until(lambda: "127.0.0.1:80" in found.addresses)
        consul.register("web", 81, service_id="web-2")
        await found.until(lambda: {"127.0.0.1:80", "127.0.0.1:81"} <= set(found.addresses))
        consul.put("/agent/service/maintenance/web-2?enable=true&reason=x")
        await found.until(lambda: _health(found, "web-2") == "maintenance")
        consul.put("/agent/service/deregister/web-2")
        await found.until(lambda: len(found.groups["web"].targets) == 1)
        consul.put("/agent/service/deregister/web")
        await found.until(lambda: list(found.groups) == ["consul"])


def _health(found: Any, service_id: str) -> str:
    return next((one[f"{META}health"] for one in found.labels if one[f"{META}service_id"] == service_id), "")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, ["consul", "db", "web"]),
        ({"services": ("web", "none")}, ["web"]),
        ({"services": ("web", "db"), "tags": ("prod",)}, ["db"]),
        ({"tags": ("prod", "v1")}, ["db"]),
        ({"tags": ("prod", "v2")}, []),
        ({"filter": 'ServiceName == "web"'}, ["web"]),
        ({"services": ("web", "db"), "health_filter": "Service.Port == 80"}, ["web"]),
        ({"node_meta": {"consul-network-segment": ""}}, ["consul", "db", "web"]),
        ({"node_meta": {"rack": "9"}}, []),
    ],
)
async def test_which_services_are_wanted(consul: Consul, settings: dict[str, Any], wanted: list[str]) -> None:
    consul.register("web", 80, Tags=["test"])
    consul.register("db", 5432, Tags=["prod", "v1"])
    async with running(consul, **settings) as found:
        await found.until(lambda: found.published and sorted(found.groups) == wanted)
        consul.register("last", 1, Tags=["prod", "v1"])
        expected = sorted({*wanted, "last"}) if not settings or settings == {"tags": ("prod", "v1")} else None
        if expected:
            await found.until(lambda: sorted(found.groups) == expected)


async def test_the_separator_of_tags_and_the_data_centre_can_be_chosen(consul: Consul) -> None:
    consul.register("web", 80, Tags=["a", "b"])
    async with running(consul, services=("web",), tag_separator="|", datacenter="dc1", allow_stale=False) as found:
        await found.until(lambda: found.addresses)
        assert found.labels[0][f"{META}tags"] == "|a|b|"


async def test_a_data_centre_that_is_not_there_is_trouble_in_its_own_words(consul: Consul) -> None:
    async with running(consul, services=("web",), datacenter="elsewhere") as found:
        assert "No path to datacenter" in await found.failed()


async def test_an_outage_keeps_the_targets_and_a_consul_that_forgot_everything_does_not(
    consul: Consul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consul_module, "RETRY_S", 0.1)
    consul.register("web", 80)
    async with running(consul) as found:
        await found.until(lambda: "web" in found.groups)
        consul.kill9()
        await found.until(lambda: len(found.around.trouble.reasons) == 3)  # the catalog, and each service
        assert "web" in found.groups
        consul.start()
        consul.register("db", 90)
        await found.until(lambda: sorted(found.groups) == ["consul", "db"])
        await found.until(lambda: not found.around.trouble.reasons)


async def test_a_consul_that_is_not_there_yet_is_waited_for(consul: Consul, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consul_module, "RETRY_S", 0.1)
    consul.stop()
    async with running(consul) as found:
        await found.failed()
        consul.start()
        await found.until(lambda: list(found.groups) == ["consul"])
        assert found.around.trouble.reasons == []
