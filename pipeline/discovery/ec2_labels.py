"""From an instance, as EC2 describes it, to the labels of a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.discovery.groups import host_port, label_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_META = "__meta_ec2_"
# Label → where EC2 has it; what is not there has no label.
_PLAIN = {
    "instance_id": "InstanceId",
    "private_ip": "PrivateIpAddress",
    "private_dns_name": "PrivateDnsName",
    "platform": "Platform",
    "public_ip": "PublicIpAddress",
    "ami": "ImageId",
    "instance_type": "InstanceType",
    "instance_lifecycle": "InstanceLifecycle",
    "architecture": "Architecture",
    "vpc_id": "VpcId",
}


def target_of(instance: Mapping[str, Any], owner: str, port: int, zone_ids: Mapping[str, str]) -> dict[str, str] | None:
    """The labels of an instance; None when it has no address. Every field of EC2's answer may be missing."""
    default_ipv6, primary_ipv6, ipv6 = _ipv6_addresses(instance)
    private_ip = instance.get("PrivateIpAddress")
    address = private_ip or default_ipv6
    if not address:
        return None
    labels = {f"{_META}{label}": str(instance[key]) for label, key in _PLAIN.items() if instance.get(key)}
    labels["__address__"] = host_port(address, port)
    zone = (instance.get("Placement") or {}).get("AvailabilityZone") or ""
    more = {
        "owner_id": owner,
        "default_ipv6_address": default_ipv6,
        "public_dns_name": instance.get("PublicDnsName", "") if instance.get("PublicIpAddress") else "",
        "primary_ipv6_addresses": _listed(primary_ipv6),
        "ipv6_addresses": _listed(ipv6),
        "availability_zone": zone,
        "availability_zone_id": zone_ids.get(zone, ""),
        "instance_state": (instance.get("State") or {}).get("Name", ""),
    }
    if instance.get("VpcId"):
        subnets = dict.fromkeys(eni["SubnetId"] for eni in instance.get("NetworkInterfaces", ()) if eni.get("SubnetId"))
        more["primary_subnet_id"] = instance.get("SubnetId", "")
        more["subnet_id"] = _listed(subnets) or ",,"
    labels |= {f"{_META}{name}": value for name, value in more.items() if value}
    for tag in instance.get("Tags") or ():
        if "Key" in tag and "Value" in tag:
            labels[f"{_META}tag_{label_name(tag['Key'])}"] = tag["Value"]
    return labels


def _ipv6_addresses(instance: Mapping[str, Any]) -> tuple[str, list[str], list[str]]:
    """The one to use by default, the primary ones by the index of their device, and all of them."""
    primary: list[str] = []
    every: list[str] = []
    for eni in instance.get("NetworkInterfaces", ()) if instance.get("VpcId") else ():
        for one in eni.get("Ipv6Addresses") or () if eni.get("SubnetId") else ():
            address = one.get("Ipv6Address")
            if not address:
                continue
            every.append(address)
            index = (eni.get("Attachment") or {}).get("DeviceIndex")
            if one.get("IsPrimaryIpv6") and index is not None and index >= 0:
                # Gaps stay, so that the place in the list tells the device.
                primary += [""] * (index + 1 - len(primary))
                primary[index] = address
    return next((address for address in [*primary, *every] if address), ""), primary, every


def _listed(values: Iterable[str]) -> str:
    """Separators around it all let expressions match a value wherever it stands."""
    joined = list(values)
    return f",{','.join(joined)}," if joined else ""
