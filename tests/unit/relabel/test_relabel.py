"""Relabelling, case by case: what each action does, and what Prometheus 3 does where one might guess otherwise."""

# ruff: noqa: E501 # a table reads best with one case a line

from __future__ import annotations

import hashlib

import pytest

from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule

ABC = {"a": "foo", "b": "bar", "c": "baz"}
PORTS = {"__tmp_port": "1234", "__port1": "1234", "__port2": "5678"}
NAME_RE = "some-([^-]+)-([^,]+)"


def rule(action="replace", sources=None, **keys):
    if sources is not None:
        keys["source_labels"] = sources.split()
    return {"action": action, **keys}


# name, labels, rules, expected labels (None: dropped)
CASES = [
    # replace
    ("a group goes into the replacement twice", ABC,
     [rule(sources="a", regex="f(.*)", target_label="d", replacement="ch${1}-ch${1}")], {**ABC, "d": "choo-choo"}),
    ("a rule sees what the rule before it wrote", ABC,
     [rule(sources="a b", regex="f(.*);(.*)r", target_label="a", replacement="b${1}${2}m"),
      rule(sources="c a", regex="(b).*b(.*)ba(.*)", target_label="d", replacement="$1$2$2$3")],
     {"a": "boobam", "b": "bar", "c": "baz", "d": "boooom"}),
    ("a group in the middle", {"a": "abc"}, [rule(sources="a", regex=".*(b).*", target_label="d")], {"a": "abc", "d": "b"}),
    ("no match, no replacement", {"a": "boo"}, [rule(sources="a", regex="f", target_label="b", replacement="bar")], {"a": "boo"}),
    ("the whole value must match", {"a": "xfoo"}, [rule(sources="a", regex="foo", target_label="b", replacement="y")], {"a": "xfoo"}),
    ("a static label", {"a": "1"}, [rule(target_label="cluster", replacement="c1")], {"a": "1", "cluster": "c1"}),
    ("a static label without matching sources", {"a": "1"}, [rule(sources="no", target_label="a", replacement="2")], {"a": "2"}),
    ("a static label only where the default expression stands", {"a": "1"},
     [rule(sources="no", regex="(.+)", target_label="a", replacement="2")], {"a": "1"}),
    ("an empty replacement removes the label", ABC, [rule(target_label="b", replacement="")], {"a": "foo", "c": "baz"}),
    ("a key without a value is empty text, not the default", ABC, [rule(target_label="b", replacement=None)], {"a": "foo", "c": "baz"}),
    ("an expression without a value matches only the empty value", ABC,
     [rule(sources="no", regex=None, target_label="d", replacement="x"), rule(sources="a", regex=None, target_label="e")],
     {**ABC, "d": "x"}),
    ("a copy of an empty value removes the target", ABC, [rule(sources="no", target_label="b")], {"a": "foo", "c": "baz"}),
    ("the default copies the value", ABC, [rule(sources="a", target_label="d")], {**ABC, "d": "foo"}),
    ("the default joins by semicolons", ABC, [rule(sources="a no b", target_label="d")], {**ABC, "d": "foo;;bar"}),
    ("another separator", ABC, [rule(sources="a b", separator="/", target_label="d")], {**ABC, "d": "foo/bar"}),
    ("an empty separator", ABC, [rule(sources="a b", separator="", target_label="d")], {**ABC, "d": "foobar"}),
    ("a dot takes newlines", {"a": "x\ny"}, [rule(sources="a", regex="x.y", target_label="b", replacement="1")], {"a": "x\ny", "b": "1"}),
    ("the default takes newlines", {"a": "x\ny"}, [rule(sources="a", target_label="b")], {"a": "x\ny", "b": "x\ny"}),
    ("a dollar sign ends the text, not a line", {"a": "x\n"}, [rule(sources="a", regex="x", target_label="b", replacement="1")],
     {"a": "x\n"}),
    ("anchors of one's own do no harm", {"a": "x"}, [rule(sources="a", regex="^x$", target_label="b", replacement="1")],
     {"a": "x", "b": "1"}),
    ("alternatives are anchored as a whole", {"a": "foo"}, [rule("drop", "a", regex="f|o")], {"a": "foo"}),
    ("case folding inside the expression", {"a": "FOO"}, [rule("keep", "a", regex="(?i)foo")], {"a": "FOO"}),
    ("characters, not bytes", {"a": "é世"}, [rule(sources="a", regex="(.)(.)", target_label="b", replacement="$2$1")],
     {"a": "é世", "b": "世é"}),
    ("the target's name from groups", {"a": "some-name-value"},
     [rule(sources="a", regex=NAME_RE, replacement="${2}", target_label="${1}")], {"a": "some-name-value", "name": "value"}),
    ("a group that does not exist empties the replacement", {"a": "some-name-value"},
     [rule(sources="a", regex=NAME_RE, replacement="${3}", target_label="${1}")], {"a": "some-name-value"}),
    ("and removes what the target had", {"a": "some-name-value", "name": "old"},
     [rule(sources="a", regex=NAME_RE, replacement="${3}", target_label="${1}")], {"a": "some-name-value"}),
    ("a target without a name is left alone", {"a": "some-name-0"},
     [rule(sources="a", regex=NAME_RE, replacement="${1}", target_label="${3}")] * 3, {"a": "some-name-0"}),
    ("Prometheus 3 takes any text as a target's name", {"a": "some-name-0"},
     [rule(sources="a", regex="some-([^-]+)(-[^,]+)", replacement="${1}", target_label="${2}")],
     {"a": "some-name-0", "-0": "name"}),
    ("labels with UTF-8 names", {"http.status": "200"}, [rule(sources="http.status", target_label="http.code")],
     {"http.status": "200", "http.code": "200"}),
    ("tags taken apart", {"__meta_sd_tags": "path:/secret,job:some-job,label:foo=bar"},
     [rule(sources="__meta_sd_tags", regex="(?:.+,|^)path:(/[^,]+).*", replacement="${1}", target_label="__metrics_path__"),
      rule(sources="__meta_sd_tags", regex="(?:.+,|^)job:([^,]+).*", replacement="${1}", target_label="job"),
      rule(sources="__meta_sd_tags", regex="(?:.+,|^)label:([^=]+)=([^,]+).*", replacement="${2}", target_label="${1}")],
     {"__meta_sd_tags": "path:/secret,job:some-job,label:foo=bar", "__metrics_path__": "/secret", "job": "some-job", "foo": "bar"}),
    ("address and port joined", {"__address__": "10.0.0.1:80", "port": "9102"},
     [rule(sources="__address__ port", regex=r"(.+?)(\:\d+)?;(\d+)", replacement="$1:$3", target_label="__address__")],
     {"__address__": "10.0.0.1:9102", "port": "9102"}),
    ("an optional group that took no part is empty", {"__address__": "10.0.0.1", "port": "9102"},
     [rule(sources="__address__ port", regex=r"([^:]+)(:\d+)?;(\d+)", replacement="$1[$2]$3", target_label="x")],
     {"__address__": "10.0.0.1", "port": "9102", "x": "10.0.0.1[]9102"}),
    ("named groups", {"a": "k=v"}, [rule(sources="a", regex="(?P<key>.)=(?P<val>.)", replacement="${val}/$key", target_label="b")],
     {"a": "k=v", "b": "v/k"}),
    # keep and drop
    ("drop ends the program", ABC,
     [rule("drop", "a", regex=".*o.*"), rule(sources="a", regex="f(.*)", target_label="d", replacement="ch$1-ch$1")], None),
    ("drop on a match", ABC, [rule("drop", "a", regex=".*o.*")], None),
    ("drop without a match", {"a": "foo"}, [rule("drop", "a", regex="no-match")], {"a": "foo"}),
    ("drop on a missing label", {"a": "foo"}, [rule("drop", "no", regex="")], None),
    ("keep without a match", {"a": "foo"}, [rule("keep", "a", regex="no-match")], None),
    ("keep on a match", {"a": "foo"}, [rule("keep", "a", regex="f.*")], {"a": "foo"}),
    ("keep with the default keeps all", {"a": "foo"}, [rule("keep", "a")], {"a": "foo"}),
    ("keep over two sources", ABC, [rule("keep", "a b", regex="foo;bar")], ABC),
    ("an action in capitals", {"a": "foo"}, [rule("KEEP", "a", regex="no")], None),
    # keepequal and dropequal
    ("keepequal keeps equals", PORTS, [rule("keepequal", "__tmp_port", target_label="__port1")], PORTS),
    ("keepequal drops others", PORTS, [rule("keepequal", "__tmp_port", target_label="__port2")], None),
    ("dropequal drops equals", PORTS, [rule("dropequal", "__tmp_port", target_label="__port1")], None),
    ("dropequal keeps others", PORTS, [rule("dropequal", "__tmp_port", target_label="__port2")], PORTS),
    ("two missing labels are equal", {"a": "1"}, [rule("dropequal", "no", target_label="neither")], None),
    # hashmod
    ("hashmod of a value", ABC, [rule("hashmod", "c", target_label="d", modulus=1000)], {**ABC, "d": "976"}),
    ("hashmod of a value with a newline", {"a": "foo\nbar"}, [rule("hashmod", "a", target_label="b", modulus=1000)],
     {"a": "foo\nbar", "b": "734"}),
    ("hashmod of several sources", ABC, [rule("hashmod", "a b", target_label="d", modulus=7)],
     {**ABC, "d": str(int(hashlib.md5(b"foo;bar").hexdigest()[16:], 16) % 7)}),
    ("hashmod with the largest modulus", {"a": "x"}, [rule("hashmod", "a", target_label="b", modulus=2**64 - 1)],
     {"a": "x", "b": str(int(hashlib.md5(b"x").hexdigest()[16:], 16) % (2**64 - 1))}),
    ("a shard is kept by its hash", {"__address__": "10.132.183.40:80"},
     [rule("hashmod", "__address__", target_label="__tmp_hash", modulus=1), rule("keep", "__tmp_hash", regex="^0$"),
      rule("labeldrop", regex="__tmp_hash")], {"__address__": "10.132.183.40:80"}),
    # labelmap
    ("labelmap copies to new names", {"a": "foo", "b1": "bar", "b2": "baz"}, [rule("labelmap", regex="(b.*)", replacement="bar_${1}")],
     {"a": "foo", "b1": "bar", "b2": "baz", "bar_b1": "bar", "bar_b2": "baz"}),
    ("labelmap takes the prefix off", {"a": "foo", "__meta_my_bar": "aaa", "__meta_my_baz": "bbb", "__meta_other": "ccc"},
     [rule("labelmap", regex="__meta_(my.*)")],
     {"a": "foo", "__meta_my_bar": "aaa", "__meta_my_baz": "bbb", "__meta_other": "ccc", "my_bar": "aaa", "my_baz": "bbb"}),
    ("labelmap: of two sources for one name the later by name wins", {"x_2": "second", "x_1": "first"},
     [rule("labelmap", regex="x_.", replacement="y")], {"x_1": "first", "x_2": "second", "y": "second"}),
    ("labelmap: a label that a rule has set counts as later", {"x_2": "second", "x_1": "first"},
     [rule(target_label="x_1", replacement="changed"), rule("labelmap", regex="x_.", replacement="y")],
     {"x_1": "changed", "x_2": "second", "y": "changed"}),
    ("labelmap: set twice, the place of the first time counts", {"x_0": "zero"},
     [rule(target_label="x_1", replacement="one"), rule(target_label="x_2", replacement="two"),
      rule(target_label="x_1", replacement="again"), rule("labelmap", regex="x_.", replacement="y")],
     {"x_0": "zero", "x_1": "again", "x_2": "two", "y": "two"}),
    ("labelmap: set, removed and set again, the place of the last time counts", {"x_0": "zero"},
     [rule(target_label="x_1", replacement="one"), rule(target_label="x_2", replacement="two"),
      rule("labeldrop", regex="x_1"), rule(target_label="x_1", replacement="again"),
      rule("labelmap", regex="x_.", replacement="y")], {"x_0": "zero", "x_1": "again", "x_2": "two", "y": "again"}),
    ("labelmap does not map what it has just mapped", {"a": "1"}, [rule("labelmap", regex="(a+)", replacement="a$1")],
     {"a": "1", "aa": "1"}),
    ("labelmap to no name writes no label that travels", {"a": "1"}, [rule("labelmap", regex="a()", replacement="$1")], {"a": "1"}),
    ("but one that later rules see", {"a": "1"},
     [rule("labelmap", regex="a()", replacement="$1"), rule("labelmap", regex="()", replacement="b")], {"a": "1", "b": "1"}),
    # labeldrop and labelkeep
    ("labelkeep", {"a": "foo", "b1": "bar", "b2": "baz"}, [rule("labelkeep", regex="(b.*)")], {"b1": "bar", "b2": "baz"}),
    ("labeldrop", {"a": "foo", "b1": "bar", "b2": "baz"}, [rule("labeldrop", regex="(b.*)")], {"a": "foo"}),
    ("labeldrop with the default drops every label", ABC, [rule("labeldrop")], {}),
    ("a label dropped and set again is there", {"port_name": "foo", "annotation": "9091"},
     [rule("labeldrop", regex="^port_name$"), rule(sources="annotation", regex="(.+)", replacement="metrics", target_label="port_name"),
      rule("keep", "port_name", regex="^metrics$")], {"annotation": "9091", "port_name": "metrics"}),
    # lowercase and uppercase
    ("both cases", {"foo": "bAr123Foo"},
     [rule("uppercase", "foo", target_label="foo_uppercase"), rule("lowercase", "foo", target_label="foo_lowercase")],
     {"foo": "bAr123Foo", "foo_lowercase": "bar123foo", "foo_uppercase": "BAR123FOO"}),
    ("one character becomes one character", {"a": "Straße ΟΔΟΣ İx ᾳ"},
     [rule("uppercase", "a", target_label="up"), rule("lowercase", "a", target_label="low")],
     {"a": "Straße ΟΔΟΣ İx ᾳ", "up": "STRAßE ΟΔΟΣ İX ᾼ", "low": "straße οδοσ ix ᾳ"}),
    ("the case of a missing label removes the target", {"a": "1", "b": "2"}, [rule("uppercase", "no", target_label="b")], {"a": "1"}),
    ("upper case of two sources", ABC, [rule("uppercase", "a b", separator="-", target_label="d")], {**ABC, "d": "FOO-BAR"}),
    # the program
    ("no rules", ABC, [], ABC),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "rules", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_relabelling(labels, rules, expected):
    before = dict(labels)
    result, index = Program([RelabelRule.build(**keys) for keys in rules]).run(labels)
    assert result == expected
    assert (index == -1) is (expected is not None)
    assert labels == before


def test_the_rule_that_dropped_is_named():
    rules = [rule(target_label="x", replacement="1"), rule("keep", "x", regex="1"), rule("drop", "a", regex="foo")]
    assert Program([RelabelRule.build(**keys) for keys in rules]).run(ABC) == (None, 2)


def test_a_program_knows_that_it_is_empty():
    assert Program([]).empty
    assert not Program([RelabelRule.build(target_label="a", replacement="b")]).empty


def test_kubernetes_pods_come_out_as_with_prometheus():
    """The rules that everybody has for annotated pods, in one run."""
    rules = [
        rule("keep", "__meta_kubernetes_pod_container_port_name", regex=".*-metrics"),
        rule("drop", "__meta_kubernetes_pod_label_name", regex=""),
        rule("drop", "__meta_kubernetes_pod_phase", regex="Succeeded|Failed"),
        rule("drop", "__meta_kubernetes_pod_annotation_prometheus_io_scrape", regex="false"),
        rule(
            sources="__meta_kubernetes_pod_annotation_prometheus_io_scheme", target_label="__scheme__", regex="(https?)"
        ),
        rule(
            sources="__meta_kubernetes_pod_annotation_prometheus_io_path", target_label="__metrics_path__", regex="(.+)"
        ),
        rule("labelmap", regex="__meta_kubernetes_pod_annotation_prometheus_io_param_(.+)", replacement="__param_$1"),
        rule("labelmap", regex="__meta_kubernetes_pod_label_prometheus_io_label_(.+)"),
        rule(sources="__meta_kubernetes_namespace __meta_kubernetes_pod_label_name", separator="/", target_label="job"),
        rule(sources="__meta_kubernetes_namespace", target_label="namespace"),
        rule(
            sources="__meta_kubernetes_pod_name __meta_kubernetes_pod_container_port_name",
            separator=":",
            target_label="instance",
        ),
        rule(target_label="cluster", replacement="dev-us-central-0"),
        rule("labeldrop", regex="__meta_.*"),
    ]
    labels = {
        "__address__": "10.132.183.40:80",
        "__meta_kubernetes_namespace": "shop",
        "__meta_kubernetes_pod_annotation_prometheus_io_path": "/stats/prometheus",
        "__meta_kubernetes_pod_annotation_prometheus_io_param_usedonly": "",
        "__meta_kubernetes_pod_annotation_prometheus_io_param_format": "text",
        "__meta_kubernetes_pod_container_port_name": "http-metrics",
        "__meta_kubernetes_pod_label_name": "cart",
        "__meta_kubernetes_pod_label_prometheus_io_label_team": "buy",
        "__meta_kubernetes_pod_name": "cart-5d9f",
        "__meta_kubernetes_pod_phase": "Running",
        "__metrics_path__": "/metrics",
        "__scheme__": "http",
        "job": "pods",
    }
    result, _ = Program([RelabelRule.build(**keys) for keys in rules]).run(labels)
    assert result == {
        "__address__": "10.132.183.40:80", "__metrics_path__": "/stats/prometheus", "__scheme__": "http",
        "__param_format": "text", "team": "buy", "job": "shop/cart", "namespace": "shop",
        "instance": "cart-5d9f:http-metrics", "cluster": "dev-us-central-0",
    }  # fmt: skip
