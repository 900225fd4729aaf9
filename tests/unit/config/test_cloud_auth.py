"""`sigv4`, `azuread` and `google_iam`: read as Prometheus reads them, never shown."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pipeline.config.cloud_auth import AzureADConfig, SigV4Config
from pipeline.config.load import load
from pipeline.config.render import rendered
from topics.errors import ConfigError

WORD = "canary-51c2e0"
ZERO = "00000000-0000-0000-0000-000000000000"
GOOD = f"""
remote_write:
- url: http://h/a
  sigv4: {{region: eu-west-1, access_key: AKIA, secret_key: {WORD}}}
- url: http://h/b
  sigv4:
- url: http://h/c
  sigv4:
    {{role_arn: "arn:aws:iam::1:role/r", external_id: x, session_name: me, tags: {{a: b}}, use_fips_sts_endpoint: true}}
- url: http://h/d
  azuread: {{oauth: {{client_id: {ZERO}, client_secret: {WORD}, tenant_id: {ZERO}}}, cloud: AzureChina}}
- url: http://h/e
  azuread:
    managed_identity:
- url: http://h/f
  azuread: {{workload_identity: {{client_id: {ZERO}, tenant_id: {ZERO}}}}}
- url: http://h/g
  azuread: {{certificate: {{client_id: {ZERO}, tenant_id: t, certificate_path: c.pem, certificate_password: {WORD}}}}}
- url: http://h/h
  google_iam: {{credentials_file: key.json}}
- url: http://h/i
  google_iam:
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.yml"


def test_every_way_is_read_and_no_secret_is_shown(path: Path) -> None:
    path.write_text(GOOD)
    config = load(path, environ={})
    first, bare, role, oauth, managed, workload, certificate, google, default = config.remote_write
    assert first.sigv4 is not None
    assert first.sigv4.secret_key is not None
    assert first.sigv4.secret_key.reveal() == WORD
    assert bare.sigv4 == SigV4Config()
    assert role.sigv4 is not None
    assert (role.sigv4.role_arn, role.sigv4.tags, role.sigv4.use_fips_sts_endpoint) == (
        "arn:aws:iam::1:role/r",
        {"a": "b"},
        True,
    )
    assert oauth.azuread is not None
    assert oauth.azuread.cloud == "AzureChina"
    assert managed.azuread is not None
    assert managed.azuread.managed_identity is not None
    assert workload.azuread is not None
    assert certificate.azuread is not None
    assert google.google_iam is not None
    assert google.google_iam.credentials_file == str(path.parent / "key.json")
    assert default.google_iam is not None
    assert WORD not in rendered(config) + repr(config)


@pytest.mark.parametrize(
    ("module", "extra", "way"),
    [
        ("botocore", "aws", "sigv4: {}"),
        ("azure.identity", "azure", "azuread: {managed_identity: {}}"),
        ("google.auth", "google", "google_iam: {}"),
    ],
)
def test_without_its_library_it_is_refused_with_the_remedy(monkeypatch, path: Path, module, extra, way) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else there(name))
    path.write_text(f"remote_write:\n- url: http://h\n  {way}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert [(problem.message, problem.remedy) for problem in caught.value.problems] == [
        (f"the package {module} is not installed", f"pip install 'headrace[{extra}]'")
    ]


def test_the_cloud_is_the_public_one_unless_said_otherwise() -> None:
    assert AzureADConfig.model_validate({"sdk": {}}).cloud == "AzurePublic"
