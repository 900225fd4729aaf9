"""Envoy's response flags, short and long: the table of its `RESPONSE_FLAGS` and `RESPONSE_FLAGS_LONG` operators."""

from __future__ import annotations

from functools import lru_cache

FLAGS = {
    "DC": "DownstreamConnectionTermination",
    "DF": "DnsResolutionFailed",
    "DI": "DelayInjected",
    "DO": "DropOverload",
    "DPE": "DownstreamProtocolError",
    "DR": "DownstreamRemoteReset",
    "DT": "DurationTimeout",
    "FI": "FaultInjected",
    "IH": "InvalidEnvoyRequestHeaders",
    "LH": "FailedLocalHealthCheck",
    "LR": "LocalReset",
    "NC": "NoClusterFound",
    "NFCF": "NoFilterConfigFound",
    "NR": "NoRouteFound",
    "OM": "OverloadManagerTerminated",
    "RFCF": "ResponseFromCacheFilter",
    "RL": "RateLimited",
    "RLSE": "RateLimitServiceError",
    "SI": "StreamIdleTimeout",
    "UAEX": "UnauthorizedExternalService",
    "UC": "UpstreamConnectionTermination",
    "UDO": "UnconditionalDropOverload",
    "UF": "UpstreamConnectionFailure",
    "UH": "NoHealthyUpstream",
    "UMSDR": "UpstreamMaxStreamDurationReached",
    "UO": "UpstreamOverflow",
    "UPE": "UpstreamProtocolError",
    "UR": "UpstreamRemoteReset",
    "URX": "UpstreamRetryLimitExceeded",
    "UT": "UpstreamRequestTimeout",
}


@lru_cache(512)
def spelled(flags: str) -> str:
    """`UF,URX` as long names; a flag that is not known stays as it is."""
    return ",".join(FLAGS.get(flag, flag) for flag in flags.split(","))
