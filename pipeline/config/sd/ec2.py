"""`ec2_sd_configs`: targets from the instances of an AWS account."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from pipeline.config.environment import ExpandedSecret, ExpandedText
from pipeline.config.http import URL, HttpClientConfig
from pipeline.config.sd.kind import Described, Kind
from pipeline.config.section import Fault
from pipeline.config.units import Duration, Integer, Text, above_zero

# Requests to AWS are signed with a header of their own, which these would overwrite.
_NOT_SIGNED = ("basic_auth", "authorization", "bearer_token", "bearer_token_file", "oauth2", "http_headers")
# What the AWS client is not told.
_NOT_PASSED_ON = ("no_proxy", "proxy_from_environment", "proxy_connect_header", "follow_redirects", "enable_http2")
_TLS = frozenset({"ca_file", "cert_file", "key_file", "insecure_skip_verify"})


class Ec2Filter(Described):
    """One filter of DescribeInstances."""

    TITLE: ClassVar[str] = "ec2_sd_configs[].filters[]"
    MEANINGS: ClassVar[dict[str, str]] = {
        "name": "Its name, as in the EC2 API: `tag:env`, `instance-state-name`, …",
        "values": "Values of which one must hold.",
    }

    name: Text = ""
    values: tuple[Text, ...] = ()


class Ec2SDConfig(Kind, HttpClientConfig):
    """An account and a region."""

    KIND: ClassVar[str] = "ec2"
    MEANING: ClassVar[str] = "Targets from EC2 instances; needs the extra `headrace[ec2]`."
    MEANINGS: ClassVar[dict[str, str]] = {
        "endpoint": "Another endpoint than the region's.",
        "region": "The region; without it, that of the AWS configuration or of the instance.",
        "access_key": "The access key; without keys, the AWS client's own chain (environment, profile, role).",
        "secret_key": "The secret key.",
        "profile": "A named profile of the AWS configuration files.",
        "role_arn": "A role to assume.",
        "external_id": "The external ID that the role asks for.",
        "refresh_interval": "How often to ask.",
        "port": "The port of the targets.",
        "filters": "Only instances that pass all of them.",
    }

    endpoint: URL | None = None
    region: ExpandedText = ""
    access_key: ExpandedText = ""
    secret_key: ExpandedSecret | None = None
    profile: ExpandedText = ""
    role_arn: ExpandedText = ""
    external_id: ExpandedText = ""
    refresh_interval: Annotated[Duration, above_zero("60s")] = 60.0
    port: Integer = 80
    filters: tuple[Ec2Filter, ...] = Field(default=())

    def faults(self) -> Iterator[Fault]:
        """As Prometheus checks them; and the library must be there."""
        yield from super().faults()
        for index, one in enumerate(self.filters):
            if not one.values:
                message = "EC2 SD configuration filter values cannot be empty"
                yield Fault(message, "add values", ("filters", index))
        if importlib.util.find_spec("botocore") is None:
            yield Fault("the AWS client is not installed", "pip install 'headrace[ec2]'", alone=True)

    def warnings(self) -> Iterator[Fault]:
        """Keys of the HTTP client that cannot be meant."""
        yield from super().warnings()
        for name in _NOT_SIGNED:
            if getattr(self, name, None):
                yield Fault("requests to AWS are signed; this key is not used", "remove the key", (name,))
        for name in _NOT_PASSED_ON:
            if name in self.model_fields_set:
                message = "the AWS client goes by its own rules here; this key is not used"
                yield Fault(message, "remove the key", (name,))
        for name in sorted(self.tls_config.model_fields_set - _TLS):
            message = "the AWS client does not take this key; it is not used"
            yield Fault(message, "use files: ca_file, cert_file, key_file", ("tls_config", name))
