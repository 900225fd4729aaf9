"""ec2_sd against moto's server, which speaks the EC2 API."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from moto.ec2.exceptions import EC2ClientError
from moto.server import ThreadedMotoServer

from pipeline.config.sd.ec2 import Ec2SDConfig
from pipeline.discovery.ec2 import discoverer
from tests.support.discovering import discovering, surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "eu-west-1"
KEYS = {"access_key": "AKIA", "secret_key": "hunter2"}
INTERVAL_S = 60


class Cloud:
    """An account, with a client to change it."""

    def __init__(self, server: ThreadedMotoServer) -> None:
        host, port = server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        with urllib.request.urlopen(f"{self.url}/moto-api/reset", data=b""):  # its state is that of this process
            pass
        session = botocore.session.Session()
        session.set_credentials("AKIA", "hunter2")
        self.ec2 = session.create_client("ec2", region_name=REGION, endpoint_url=self.url)
        self.image = self.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]

    def launch(self, name: str, **more: Any) -> dict[str, Any]:
        tags = [{"Key": "Name", "Value": name}, {"Key": "team/owner", "Value": "us"}]
        answer = self.ec2.run_instances(
            ImageId=self.image, MinCount=1, MaxCount=1, InstanceType="m5.large",
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}], **more,
        )  # fmt: skip
        instance_id = answer["Instances"][0]["InstanceId"]
        found: dict[str, Any] = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][
            0
        ]
        return found

    def running(self, **more: Any):
        around = surroundings("ec2")
        config = Ec2SDConfig.model_validate({"region": REGION, "endpoint": self.url, **KEYS, **more})
        return discovering(discoverer(config, around), around)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Cloud]:
    # Nothing of this machine's AWS configuration, and no look for one of an instance.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield Cloud(server)
    server.stop()


async def test_an_instance_has_every_label_that_it_can_have(cloud: Cloud) -> None:
    instance = cloud.launch("web")
    zones = cloud.ec2.describe_availability_zones()["AvailabilityZones"]
    zone = instance["Placement"]["AvailabilityZone"]
    async with cloud.running(port=9100) as found:
        await found.until(lambda: found.published)
        assert found.labels == [
            {
                "__address__": f"{instance['PrivateIpAddress']}:9100",
                "__meta_ec2_ami": cloud.image,
                "__meta_ec2_architecture": "x86_64",
                "__meta_ec2_availability_zone": zone,
                "__meta_ec2_availability_zone_id": next(one["ZoneId"] for one in zones if one["ZoneName"] == zone),
                "__meta_ec2_instance_id": instance["InstanceId"],
                "__meta_ec2_instance_state": "running",
                "__meta_ec2_instance_type": "m5.large",
                "__meta_ec2_owner_id": "123456789012",
                "__meta_ec2_platform": "windows",
                "__meta_ec2_primary_subnet_id": instance["SubnetId"],
                "__meta_ec2_private_dns_name": instance["PrivateDnsName"],
                "__meta_ec2_private_ip": instance["PrivateIpAddress"],
                "__meta_ec2_public_dns_name": instance["PublicDnsName"],
                "__meta_ec2_public_ip": instance["PublicIpAddress"],
                "__meta_ec2_region": REGION,
                "__meta_ec2_subnet_id": f",{instance['SubnetId']},",
                "__meta_ec2_tag_Name": "web",
                "__meta_ec2_tag_team_owner": "us",
                "__meta_ec2_vpc_id": instance["VpcId"],
            }
        ]
        assert list(found.groups) == [REGION]


async def test_filters_are_the_servers(cloud: Cloud) -> None:
    cloud.launch("web")
    wanted = cloud.launch("db")
    filters = ({"name": "tag:Name", "values": ("db", "cache")},)
    async with cloud.running(filters=filters) as found:
        await found.until(lambda: found.published)
        assert [labels["__meta_ec2_instance_id"] for labels in found.labels] == [wanted["InstanceId"]]


async def test_instances_come_and_go(cloud: Cloud) -> None:
    async with cloud.running(filters=({"name": "instance-state-name", "values": ("running",)},)) as found:
        await found.until(lambda: found.published)
        assert found.labels == []
        instance = cloud.launch("web")
        await found.look_again(INTERVAL_S)
        await found.until(lambda: [labels["__meta_ec2_tag_Name"] for labels in found.labels] == ["web"])
        cloud.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
        await found.look_again(INTERVAL_S)
        await found.until(lambda: not found.addresses)


async def test_more_instances_than_a_page_holds(cloud: Cloud) -> None:
    cloud.ec2.run_instances(ImageId=cloud.image, MinCount=1100, MaxCount=1100)
    async with cloud.running() as found:
        await found.until(lambda: found.published)
        assert len({labels["__meta_ec2_instance_id"] for labels in found.labels}) == 1100


async def test_the_region_of_the_configuration_of_aws(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    cloud.launch("web")
    async with cloud.running(region="") as found:
        await found.until(lambda: found.published)
        assert [labels["__meta_ec2_region"] for labels in found.labels] == [REGION]


async def test_no_region_at_all_is_trouble(cloud: Cloud) -> None:
    async with cloud.running(region="") as found:
        assert "the AWS region is not known: give region" in await found.failed()


async def test_keys_of_a_profile(cloud: Cloud, tmp_path) -> None:
    (tmp_path / "credentials").write_text("[team]\naws_access_key_id = A\naws_secret_access_key = S\n")
    cloud.launch("web")
    async with cloud.running(access_key="", secret_key=None, profile="team") as found:
        await found.until(lambda: found.published)
        assert len(found.labels) == 1


async def test_no_keys_at_all_is_trouble(cloud: Cloud) -> None:
    async with cloud.running(access_key="", secret_key=None) as found:
        assert "AWS cannot be asked: Unable to locate credentials" in await found.failed()


async def test_a_role_is_assumed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloud.url)
    cloud.launch("web")
    role = "arn:aws:iam::123456789012:role/reader"
    async with cloud.running(role_arn=role, external_id="x") as found:
        await found.until(lambda: found.published)
        assert len(found.labels) == 1


async def test_a_region_that_does_not_answer_keeps_its_targets(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.launch("web")
    async with cloud.running(filters=({"name": "tag:Name", "values": ("web",)},)) as found:
        await found.until(lambda: found.published)
        monkeypatch.setattr("moto.ec2.responses.instances.InstanceResponse.describe_instances", _refuse)
        await found.look_again(INTERVAL_S)
        reason = await found.failed()
        assert "AWS refuses" in reason
        assert "UnauthorizedOperation" in reason
        assert len(found.labels) == 1
        monkeypatch.undo()
        await found.look_again(INTERVAL_S)
        await found.until(lambda: not found.around.trouble.reasons)


def _refuse(*_: object) -> None:
    raise EC2ClientError("UnauthorizedOperation", "You are not authorized to perform this operation.")
