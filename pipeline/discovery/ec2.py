"""Targets from EC2 instances, by botocore (the extra `headrace[ec2]`). Rules: Prometheus's discovery/aws/ec2.go.

botocore waits for the network in its own way, so each look is made in a thread.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.session
import botocore.utils

from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.ec2_labels import target_of
from pipeline.discovery.refresh import refresh
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config.sd.ec2 import Ec2SDConfig
    from pipeline.discovery.discoverer import Publish, Surroundings

_TIMEOUT_S = 60
_REFUSALS = ("AuthFailure", "UnauthorizedOperation")


def discoverer(settings: Ec2SDConfig, around: Surroundings) -> Ec2Discovery:
    """One entry of `ec2_sd_configs`."""
    return Ec2Discovery(settings, around)


class Ec2Discovery:
    """One entry of `ec2_sd_configs`."""

    def __init__(self, config: Ec2SDConfig, around: Surroundings) -> None:
        self._config = config
        self._around = around
        self._client: Any = None
        self._region = ""
        self._zone_ids: dict[str, str] | None = None

    async def run(self, publish: Publish) -> None:
        """Ask every `refresh_interval`, until cancelled; a request that is then under way ends by its own timeout."""
        await refresh(self._look, self._config.refresh_interval, self._around, publish)

    async def _look(self) -> list[TargetGroup]:
        try:
            return [await asyncio.to_thread(self._group)]
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in _REFUSALS:
                self._client = None  # other credentials may be there by now
            raise DiscoveryFailed(f"AWS refuses: {error}") from None
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.HTTPClientError, OSError, ValueError) as error:
            raise DiscoveryFailed(f"AWS cannot be asked: {error}") from None

    def _group(self) -> TargetGroup:
        if self._client is None:
            self._client = self._connect()
        if self._zone_ids is None:
            self._zone_ids = self._ask_zone_ids()
        targets = tuple(self._targets())
        return TargetGroup(self._region, targets, {"__meta_ec2_region": self._region})

    def _targets(self) -> Iterator[dict[str, str]]:
        filters = [{"Name": one.name, "Values": list(one.values)} for one in self._config.filters]
        for page in self._client.get_paginator("describe_instances").paginate(Filters=filters):
            for reservation in page.get("Reservations", ()):
                for instance in reservation.get("Instances", ()):
                    owner = reservation.get("OwnerId", "")
                    target = target_of(instance, owner, self._config.port, self._zone_ids or {})
                    if target is not None:
                        yield target

    def _ask_zone_ids(self) -> dict[str, str] | None:
        """Zones by name; None, to be asked again, where that is not allowed: only one label depends on it."""
        try:
            answer = self._client.describe_availability_zones()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            return None
        zones = answer.get("AvailabilityZones", ())
        return {zone["ZoneName"]: zone["ZoneId"] for zone in zones if "ZoneName" in zone and "ZoneId" in zone}

    def _connect(self) -> Any:
        """A client of the region. Raises what botocore raises, and OSError for a file of the TLS settings."""
        config = self._config
        session = botocore.session.Session(profile=config.profile or None)
        if config.access_key and config.secret_key:
            session.set_credentials(config.access_key, config.secret_key.reveal())
        self._region = config.region or session.get_config_variable("region") or self._own_region(session)
        if config.role_arn:
            session.register_component("credential_provider", _AssumedRole(self._assume(session)))
        endpoint = config.endpoint or None
        return session.create_client("ec2", endpoint_url=endpoint, **self._options())

    def _own_region(self, session: botocore.session.Session) -> str:
        """The region of the instance that this runs on. Raises DiscoveryFailed."""
        region = botocore.utils.IMDSRegionProvider(session).provide()
        if not region:
            raise DiscoveryFailed("the AWS region is not known: give region, or AWS_REGION in the environment")
        return str(region)

    def _assume(self, session: botocore.session.Session) -> Any:
        params = {"RoleArn": self._config.role_arn, "RoleSessionName": "headrace"}
        if self._config.external_id:
            params["ExternalId"] = self._config.external_id
        sts = session.create_client("sts", **self._options())
        return botocore.credentials.create_assume_role_refresher(sts, params)

    def _options(self) -> dict[str, Any]:
        """What the keys of the HTTP client mean for botocore."""
        tls = self._config.tls_config
        proxy = str(self._config.proxy_url) if self._config.proxy_url else ""
        client_cert = (tls.cert_file, tls.key_file) if tls.cert_file and tls.key_file else None
        return {
            "region_name": self._region,
            "verify": False if tls.insecure_skip_verify else (_existing(tls.ca_file) if tls.ca_file else None),
            "config": botocore.config.Config(
                connect_timeout=_TIMEOUT_S,
                read_timeout=_TIMEOUT_S,
                proxies={"http": proxy, "https": proxy} if proxy else None,
                client_cert=client_cert,
                user_agent_extra="headrace",
            ),
        }


class _AssumedRole:
    """botocore's way to be told where credentials come from."""

    def __init__(self, refresher: Any) -> None:
        self._refresher = refresher

    def load_credentials(self) -> Any:
        """Credentials that are had at their first use, and anew before they expire."""
        return botocore.credentials.DeferredRefreshableCredentials(self._refresher, "assume-role")


def _existing(path: str) -> str:
    with Path(path).open("rb"):
        return path
