"""From a service's entries in Consul to a target group."""

from __future__ import annotations

from typing import Any

from pipeline.discovery.groups import host_port, label_name
from pipeline.discovery.target_group import TargetGroup

_META = "__meta_consul_"
_NODE_MAINTENANCE, _SERVICE_MAINTENANCE = "_node_maintenance", "_service_maintenance:"


def group_of(name: str, entries: list[dict[str, Any]], datacenter: str, separator: str) -> TargetGroup:
    """The group of a service. `entries` as `/v1/health/service` answers. Raises KeyError, TypeError, AttributeError
    where that is not what they are.
    """
    targets = tuple(_target(entry, separator) for entry in entries)
    return TargetGroup(name, targets, {f"{_META}service": name, f"{_META}dc": datacenter})


def _target(entry: dict[str, Any], separator: str) -> dict[str, str]:
    node, service = entry["Node"], entry["Service"]
    address, port = service.get("Address") or "", service.get("Port") or 0
    tags = separator.join(service.get("Tags") or ())
    labels = {
        "__address__": host_port(address or node["Address"], port),
        f"{_META}address": node["Address"],
        f"{_META}node": node["Node"],
        f"{_META}namespace": service.get("Namespace") or "",
        f"{_META}partition": service.get("Partition") or "",
        # The separator around it all lets expressions match a tag wherever it stands.
        f"{_META}tags": f"{separator}{tags}{separator}",
        f"{_META}service_address": address,
        f"{_META}service_port": str(port),
        f"{_META}service_id": service["ID"],
        f"{_META}health": aggregated(entry.get("Checks") or []),
    }
    for prefix, values in (
        ("metadata", node.get("Meta")),
        ("service_metadata", service.get("Meta")),
        ("tagged_address", node.get("TaggedAddresses")),
    ):
        labels |= {f"{_META}{prefix}_{label_name(key)}": str(value) for key, value in (values or {}).items()}
    return labels


def aggregated(checks: list[dict[str, Any]]) -> str:
    """The worst of all checks, as Consul's own client sums them up."""
    found = set()
    for check in checks:
        check_id = check.get("CheckID") or ""
        is_maintenance = check_id == _NODE_MAINTENANCE or check_id.startswith(_SERVICE_MAINTENANCE)
        found.add("maintenance" if is_maintenance else check.get("Status"))
    if not found <= {"maintenance", "critical", "warning", "passing"}:
        return ""
    return next((status for status in ("maintenance", "critical", "warning") if status in found), "passing")
