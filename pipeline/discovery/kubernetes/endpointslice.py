"""Role endpointslice: as endpoints, from the slices that replace them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.discovery.kubernetes.endpoints import EndpointsRole
from pipeline.discovery.kubernetes.resources import ENDPOINT_SLICES

if TYPE_CHECKING:
    from pipeline.discovery.kubernetes.endpoint_objects import Endpoint, EndpointGroup
    from pipeline.discovery.kubernetes.objects import Port, Service


class EndpointSliceRole(EndpointsRole):
    """Rules: prometheus/discovery/kubernetes/endpointslice.go."""

    NAME = "endpointslice"
    SOURCE = "endpointslice"
    RESOURCE = ENDPOINT_SLICES

    def _is_wanted(self, one: EndpointGroup, service: Service | None) -> bool:
        """A service with both IP families has slices of both: the same targets twice, so one family is taken."""
        return service is None or service.primary_family in ("", one.address_type)

    def _protocol(self, endpoint: Endpoint, port: Port) -> str:
        return port.protocol
