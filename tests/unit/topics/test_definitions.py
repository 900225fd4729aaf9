"""The topics of one installation."""

from __future__ import annotations

import pytest

from topics import definitions
from topics.record import Kind

NAMES = definitions.TopicNames("headrace.")


def all_specs(partitions=12):
    return definitions.specs(
        NAMES,
        partitions=partitions,
        replication_factor=3,
        retention_ms=1000,
        min_insync_replicas=2,
        max_message_bytes=4096,
    )


def test_every_topic_has_its_name_partitions_and_retention():
    assert {spec.name: (spec.partitions, spec.retention_ms, spec.cleanup_policy) for spec in all_specs()} == {
        "headrace.metrics": (12, 1000, "delete"),
        "headrace.logs": (12, 1000, "delete"),
        "headrace.metrics.dead": (12, 1000, "delete"),
        "headrace.logs.dead": (12, 1000, "delete"),
        "headrace.control": (64, -1, "compact"),
    }
    assert {(spec.replication_factor, spec.min_insync_replicas) for spec in all_specs()} == {(3, 2)}


def test_a_dead_letter_may_be_as_large_as_its_record_with_the_headers_that_say_why():
    sizes = {spec.name: spec.max_message_bytes for spec in all_specs()}
    assert sizes["headrace.metrics"] == sizes["headrace.logs"] == sizes["headrace.control"] == 4096
    assert sizes["headrace.metrics.dead"] == sizes["headrace.logs.dead"] == 4096 + definitions.DEAD_HEADERS_BYTES


def test_the_control_topic_is_compacted_soon_and_may_be_given_more_partitions():
    control = all_specs()[-1]
    assert dict(control.settings) == {
        "segment.bytes": "16777216",
        "segment.ms": "600000",
        "min.cleanable.dirty.ratio": "0.1",
    }
    assert [spec.grows for spec in all_specs()] == [False] * 4 + [True]


def test_a_nodes_place_in_the_control_topic_is_fixed_for_ever():
    assert [definitions.control_partition(node) for node in ("", "node-1", "node-2")] == [2, 5, 46]
    assert definitions.transactional_id("headrace.", "node-1") == "headrace.tail.node-1"


def test_a_kind_leads_to_its_topics():
    assert (NAMES.data(Kind.METRICS), NAMES.data(Kind.LOGS)) == ("headrace.metrics", "headrace.logs")
    assert (NAMES.dead(Kind.METRICS), NAMES.dead(Kind.LOGS)) == ("headrace.metrics.dead", "headrace.logs.dead")


def test_each_backend_has_its_own_group():
    assert definitions.group("headrace.", "mimir") == "headrace.agent.mimir"


@pytest.mark.parametrize("partitions", [0, 1025])
def test_a_partition_count_that_the_key_rule_does_not_know_is_refused(partitions):
    with pytest.raises(ValueError, match=r"topics\.partitions"):
        all_specs(partitions)
