"""`kubernetes_sd_configs`: keys, and which selectors Kubernetes would understand."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.config.load import load
from pipeline.config.sd.kubernetes import KubernetesSDConfig, KubernetesSelector

DATA = Path("tests/data/config").absolute()


@pytest.fixture(scope="module")
def jobs():
    return load(DATA / "kubernetes.good.yml", environ={"NODE_NAME": "n-1"}).scrape_configs


def test_every_key_is_read(jobs):
    (pods,) = jobs[0].kubernetes_sd_configs
    assert (pods.role, pods.api_server, pods.kubeconfig_file) == ("pod", None, "")
    assert (pods.namespaces.own_namespace, pods.namespaces.names) == (True, ("shop", "empty"))
    assert [selector.role for selector in pods.selectors] == ["pod", "node"]
    assert set(pods.attach_metadata.model_dump().values()) == {True}
    assert len(pods.attach_metadata.model_dump()) == 5


def test_variables_may_stand_in_selectors(jobs):
    (pods,) = jobs[0].kubernetes_sd_configs
    assert pods.selectors[0].field == "spec.nodeName=n-1,status.phase!=Failed"


def test_files_are_relative_to_the_file_that_names_them(jobs):
    outside, nodes = jobs[1].kubernetes_sd_configs
    assert outside.bearer_token_file == str(DATA / "token")
    assert nodes.kubeconfig_file == str(DATA / "kubeconfig.yml")


def test_nothing_is_attached_and_nowhere_is_left_out_unless_asked_for():
    config = KubernetesSDConfig(role="node")
    assert set(config.attach_metadata.model_dump().values()) == {False}
    assert (config.namespaces.own_namespace, config.namespaces.names, config.selectors) == (False, (), ())


# As the tests of k8s.io/apimachinery/pkg/labels and fields decide.
@pytest.mark.parametrize(
    "text",
    [
        "", "a", "!a", "a=", "a=b", "a==b", "a!=b", "a=b,c=d", "a in (b)", "a in (b,c)", "a notin (b, c),d",
        "x in (,a)", "x in (a,)", "x in (a,,b)", "x>1", "x<7", "in", "notin", "in in (in)", " a = b ", "a in(b)",
        "a in ()", "example.com/a=b", "a=b-c.d_e", "a,b", "x=a,!y",
    ],
)  # fmt: skip
def test_label_selectors_that_kubernetes_understands(text):
    assert KubernetesSelector(role="pod", label=text).label == text


@pytest.mark.parametrize(
    "text",
    [
        ",", "a,", ",a", "a b", "a=b c", "a=b=c", "a==b==c", "!a=b", "!", "a in b", "a in", "a in (b", "a in b)",
        "a in (b c)", "x>a", "x>", "a=!b", "=b", "(a)", "a/b/c=d", "-a=b", "a=-b", "A_/x=1", "a=é", f"a={'x' * 64}",
        f"{'x' * 64}=b", "a!b", "a<>b", "x>1.5",
    ],
)  # fmt: skip
def test_label_selectors_that_kubernetes_does_not_understand(text):
    with pytest.raises(ValidationError):
        KubernetesSelector(role="pod", label=text)


@pytest.mark.parametrize("text", ["", ",", "a=b", "a==b", "a!=b", "a=b,,c=d", "=", "a=", r"a=b\,c", r"a=b\=c", r"a=\\"])
def test_field_selectors_that_kubernetes_understands(text):
    assert KubernetesSelector(role="pod", field=text).field == text


@pytest.mark.parametrize("text", ["a", "a=b,c", "a=b=c", "a!=b!=c", r"a=\n", "a=\\"])
def test_field_selectors_that_kubernetes_does_not_understand(text):
    with pytest.raises(ValidationError):
        KubernetesSelector(role="pod", field=text)
