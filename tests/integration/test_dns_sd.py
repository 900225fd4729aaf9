"""dns_sd against a real DNS server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.config.sd.dns import DnsSDConfig
from pipeline.discovery.dns import DnsDiscovery
from tests.peers import catalogue
from tests.support.discovering import discovering, surroundings
from tests.support.dns_server import DnsServer
from tests.support.server import require

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.knot

RECORDS = """
web       A     10.0.0.1
web       A     10.0.0.2
web       AAAA  fd00::1
alias     CNAME web
_x._tcp   SRV   10 5 8080 web
_x._tcp   SRV   10 5 8081 other.example.net.
mail      MX    10 mx1
mail      MX    20 mx2.example.net.
sub       NS    ns1.sub
ns1.sub   A     10.0.0.9
"""
MANY = "\n".join(f"many A 10.1.{index // 250}.{index % 250 + 1}" for index in range(1000))


@pytest.fixture
def server() -> Iterator[DnsServer]:
    made = DnsServer(require(catalogue.KNOT), {"one.example": f"{RECORDS}\n{MANY}\n", "two.example": "db A 10.2.0.1"})
    made.start()
    yield made
    made.close()


def running(server: DnsServer, *names: str, resolv: str = "", **more: Any):
    around = surroundings("dns")
    config = DnsSDConfig.model_validate({"names": names, **more})
    conf = server.resolv_conf(resolv)
    return discovering(DnsDiscovery(config, around, resolv_conf=conf, port=server.port), around)


NAME = "__meta_dns_name"


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("web.one.example", {"type": "A", "port": 90}, [
            {"__address__": "10.0.0.1:90", NAME: "web.one.example"},
            {"__address__": "10.0.0.2:90", NAME: "web.one.example"},
        ]),
        ("web.one.example.", {"type": "aaaa", "port": 90}, [{"__address__": "[fd00::1]:90", NAME: "web.one.example."}]),
        ("alias.one.example", {"type": "A", "port": 90}, [
            {"__address__": "10.0.0.1:90", NAME: "alias.one.example"},
            {"__address__": "10.0.0.2:90", NAME: "alias.one.example"},
        ]),
        ("_x._tcp.one.example", {"port": 1}, [
            {"__address__": "other.example.net:8081", NAME: "_x._tcp.one.example",
             "__meta_dns_srv_record_target": "other.example.net.", "__meta_dns_srv_record_port": "8081"},
            {"__address__": "web.one.example:8080", NAME: "_x._tcp.one.example",
             "__meta_dns_srv_record_target": "web.one.example.", "__meta_dns_srv_record_port": "8080"},
        ]),
        ("mail.one.example", {"type": "MX", "port": 25}, [
            {"__address__": "mx1.one.example:25", NAME: "mail.one.example",
             "__meta_dns_mx_record_target": "mx1.one.example."},
            {"__address__": "mx2.example.net:25", NAME: "mail.one.example",
             "__meta_dns_mx_record_target": "mx2.example.net."},
        ]),
        ("two.example", {"type": "NS", "port": 53}, [
            {"__address__": "ns.two.example:53", NAME: "two.example", "__meta_dns_ns_record_target": "ns.two.example."},
        ]),
    ],
)  # fmt: skip
async def test_each_type_of_record(
    server: DnsServer, name: str, settings: dict[str, Any], expected: list[dict[str, str]]
) -> None:
    async with running(server, name, **settings) as found:
        await found.until(lambda: found.published)
        assert found.labels == expected
        assert list(found.groups) == [name]
        assert found.around.trouble.reasons == []


async def test_an_answer_too_long_for_udp_comes_by_tcp(server: DnsServer) -> None:
    async with running(server, "many.one.example", type="A", port=1) as found:
        await found.until(lambda: found.published)
        assert len(found.addresses) == 1000


async def test_the_search_list_completes_names(server: DnsServer) -> None:
    async with running(server, "db", "web", type="A", port=1, resolv="search one.example two.example\n") as found:
        await found.until(lambda: found.published)
        assert found.addresses == ["10.0.0.1:1", "10.0.0.2:1", "10.2.0.1:1"]
        assert {labels[NAME] for labels in found.labels} == {"db", "web"}


async def test_a_name_that_nobody_has_is_no_target_and_no_trouble(server: DnsServer) -> None:
    async with running(server, "none.one.example", "web.one.example", type="A", port=1) as found:
        await found.until(lambda: found.published)
        assert found.addresses == ["10.0.0.1:1", "10.0.0.2:1"]
        assert found.around.trouble.reasons == []


async def test_a_name_that_exists_without_such_records_is_no_target(server: DnsServer) -> None:
    async with running(server, "db.two.example", type="AAAA", port=1) as found:
        await found.until(lambda: found.published)
        assert (found.addresses, found.around.trouble.reasons) == ([], [])


async def test_a_server_that_refuses_leaves_the_others_targets(server: DnsServer) -> None:
    async with running(server, "web.one.example", "x.elsewhere.example", type="A", port=1) as found:
        assert (
            "x.elsewhere.example: no server answers: x.elsewhere.example.: 127.0.0.1: REFUSED" in await found.failed()
        )
        await found.until(lambda: found.addresses == ["10.0.0.1:1", "10.0.0.2:1"])


async def test_the_next_server_is_asked_when_one_does_not_answer(server: DnsServer) -> None:
    conf = server.resolv_conf()
    around = surroundings("dns")
    with open(conf, "w") as file:
        file.write("nameserver 127.0.0.99\nnameserver 127.0.0.1\n")
    config = DnsSDConfig.model_validate({"names": ("db.two.example",), "type": "A", "port": 1})
    async with discovering(DnsDiscovery(config, around, resolv_conf=conf, port=server.port), around) as found:
        await found.until(lambda: found.addresses == ["10.2.0.1:1"])
        assert around.trouble.reasons == []


async def test_records_come_and_go_and_an_outage_changes_nothing(server: DnsServer) -> None:
    async with running(server, "db.two.example", type="A", port=1) as found:
        await found.until(lambda: found.addresses == ["10.2.0.1:1"])
        server.stop()
        await found.look_again(30)
        assert "127.0.0.1: " in await found.failed()
        assert found.addresses == ["10.2.0.1:1"]
        server.zones["two.example"] = "db A 10.2.0.2"
        server.start()
        await found.look_again(30)
        await found.until(lambda: found.addresses == ["10.2.0.2:1"])
        assert found.around.trouble.reasons == []
        server.stop()
        server.zones["two.example"] = "other A 10.2.0.2"
        server.start()
        await found.look_again(30)
        await found.until(lambda: found.addresses == [])


async def test_a_resolv_conf_that_is_not_there_is_trouble(server: DnsServer) -> None:
    around = surroundings("dns")
    config = DnsSDConfig.model_validate({"names": ("db.two.example",)})
    async with discovering(DnsDiscovery(config, around, resolv_conf="/nowhere", port=server.port), around) as found:
        assert "/nowhere cannot be read" in await found.failed()
