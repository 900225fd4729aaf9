"""A request is of one tenant, and says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.clients.push import with_tenant
from tests.unit.agents.builders import Rig, record, series


def _of(tenant: bytes, offset: int):
    one = record(series(f"s{offset}", 1), 1, offset=offset)
    return replace(one, headers={**one.headers, "tenant": tenant} if tenant else one.headers)


async def test_records_of_tenants_go_in_requests_of_their_own_in_order():
    rig = Rig()
    await rig.process(_of(b"", 0), _of(b"a", 1), _of(b"a", 2), _of(b"b", 3), _of(b"", 4))
    assert rig.client.tenants == ["", "a", "b", ""]
    assert rig.settled == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["X-Scope-OrgID", "x-scope-orgid"])
def test_the_tenant_of_a_record_outranks_the_configured_one(name):
    assert with_tenant({name: "all", "A": "b"}, "one") == {"X-Scope-OrgID": "one", "A": "b"}
    assert with_tenant({name: "all"}, "") == {name: "all"}
