"""The table of answers."""

from __future__ import annotations

from typing import get_args

import pytest

from pipeline.clients.classify import classify
from pipeline.clients.outcome import Delivered, Load, Refused, Rejected, Retry
from pipeline.clients.profiles import LOKI, PROFILES
from pipeline.config.remote_write import BackendProfile


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_is_delivered(status):
    assert classify(status, "", None) == Delivered()


@pytest.mark.parametrize("status", [429, 408, 425, 500, 501, 502, 503, 504, 507, 599])
def test_what_may_pass_is_tried_again_when_the_backend_says(status):
    outcome = classify(status, "busy", 7.0)
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 7.0
    assert outcome.reason.startswith(str(status))
    assert "busy" in outcome.reason
    assert outcome.load is (Load.HEAVY if status in (408, 429, 504) else Load.BUSY)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (415, "unsupported_media_type"),
        (402, "refused"),
        (410, "refused"),
        (418, "refused"),
        (301, "redirected"),
        (308, "redirected"),
    ],
)
def test_what_somebody_must_mend_pauses_the_backend(status, reason):
    outcome = classify(status, "no such tenant", None)
    assert isinstance(outcome, Refused)
    assert outcome.reason == reason
    assert "no such tenant" in outcome.detail


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (400, "out of order sample", "out_of_order"),  # Prometheus
        (400, "duplicate sample for timestamp", "duplicate"),  # Prometheus
        (400, "duplicate sample for timestamp 1; overrides not allowed: existing 1, new 2", "duplicate"),
        (400, "out of bounds", "too_old"),  # Prometheus
        (400, "too old sample", "too_old"),  # Prometheus with an out-of-order window
        (409, "store locally for endpoint: conflict: add 1 samples: out of order sample", "out_of_order"),  # Thanos
        (400, "the sample has been rejected because ... (err-mimir-sample-out-of-order)", "out_of_order"),
        (400, "... with a more recent timestamp ... (err-mimir-sample-duplicate-timestamp)", "duplicate"),
        (
            400,
            "received a sample whose timestamp is too far in the future (err-mimir-too-far-in-future)",
            "too_far_ahead",
        ),
        (400, "per-user series limit of 150000 exceeded (err-mimir-max-series-per-user)", "limit"),
        (
            400,
            "received a sample whose timestamp is too far in the past, timestamp: 1 (err-mimir-too-far-in-past)",
            "too_old",
        ),
        (400, "out of bounds: timestamp is too far in the future", "too_far_ahead"),  # Prometheus 3
        (400, "received a series whose label value length exceeds the limit (err-mimir-label-value-too-long)", "limit"),
        (400, "snappy: corrupt input", "bad_request"),
        (400, "", "bad_request"),
        (409, "", "conflict"),
        (413, "body exceeds the limit", "too_large"),
        (422, "", "unprocessable"),
    ],
)
def test_rejections_are_named_by_the_backends_words(status, words, reason):
    assert classify(status, words, None) == Rejected(reason, words, status)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("entry with timestamp 2025-01-01 ignored, reason: 'entry too far behind'", "too_far_behind"),
        ("entry with timestamp 2025-01-01 ignored, reason: 'entry out of order'", "out_of_order"),
        ("entry for stream '{a=\"b\"}' has timestamp too new: 2030", "too_far_in_future"),
        ("entry for stream '{a=\"b\"}' has timestamp too old: 2020", "greater_than_max_sample_age"),
        ("Max entry size '262144' bytes exceeded for stream '{a=\"limit\"}' while adding an entry", "line_too_long"),
        ("entry for stream '{a=\"b\"}' has 16 label names; limit 15", "max_label_names_per_series"),
        ("stream '{a=\"b\"}' has label name too long: 'aaa'", "label_name_too_long"),
        ("stream '{a=\"b\"}' has label value too long: 'bbb'", "label_value_too_long"),
        ("stream '{}' has structured metadata too large: '70000' bytes, limit: '9'", "structured_metadata_too_large"),
        ("stream '{}' has too many structured metadata labels: '200', limit: '9'", "structured_metadata_too_many"),
        ("error parsing labels '{a=b}' with error: 1:4: unexpected", "invalid_labels"),
        ("error at least one label pair is required per stream", "missing_labels"),
        ("couldn't parse push request: EOF", "bad_request"),
    ],
)  # fmt: skip
def test_loki_is_quoted_with_the_reasons_of_its_own_metrics(words, reason):
    assert classify(400, words, None, LOKI) == Rejected(reason, words, 400)


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (260, "ingestion blocked for user 'a' until '2030' with status code '260'", "blocked_ingestion"),
        (400, "ingestion blocked for user 'a' until '2030' with status code '400'", "blocked_ingestion"),
        (
            400,
            "stream '{a=\"b\"}' includes structured metadata, but this feature is disallowed. Please see",
            "disallowed_structured_metadata",
        ),
    ],
)
def test_a_loki_that_takes_nothing_until_it_is_configured_otherwise_pauses_the_backend(status, words, reason):
    outcome = classify(status, words, None, LOKI)
    assert isinstance(outcome, Refused)
    assert outcome.reason == reason
    assert words[:20] in outcome.detail


def test_status_260_is_a_delivery_for_everybody_but_loki():
    assert classify(260, "", None) == Delivered()


@pytest.mark.parametrize("name", ["prometheus", "thanos", "amp", "azure"])
def test_the_future_is_told_from_the_past_in_the_words_of_prometheus_3(name):
    words = "out of bounds: timestamp is too far in the future"
    assert classify(400, words, None, PROFILES[name]) == Rejected("too_far_ahead", words, 400)


def test_every_profile_that_the_configuration_names_has_its_table():
    assert set(get_args(BackendProfile)) == set(PROFILES) - {"loki"}


def test_a_backend_that_takes_everything_is_not_read_for_the_words_of_another():
    assert classify(400, "out of order sample", None, PROFILES["victoriametrics"]).reason == "bad_request"
