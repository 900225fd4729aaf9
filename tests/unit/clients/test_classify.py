"""The table of answers."""

from __future__ import annotations

import pytest

from pipeline.clients.classify import classify
from pipeline.clients.outcome import Delivered, Refused, Rejected, Retry


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


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "method_not_allowed"),
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
        (400, "entry with timestamp 2025-01-01 ignored, reason: 'entry too far behind'", "out_of_order"),  # Loki
        (400, "entry for stream '{a=\"b\"}' has timestamp too new: 2030", "too_far_ahead"),  # Loki
        (400, "entry for stream '{a=\"b\"}' has timestamp too old: 2020", "too_old"),  # Loki
        (400, "Max entry size '262144' bytes exceeded for stream (limit)", "limit"),  # Loki
        (400, "snappy: corrupt input", "bad_request"),
        (400, "", "bad_request"),
        (409, "", "conflict"),
        (413, "body exceeds the limit", "too_large"),
        (415, "", "unsupported_media_type"),
        (422, "", "unprocessable"),
    ],
)
def test_rejections_are_named_by_the_backends_words(status, words, reason):
    assert classify(status, words, None) == Rejected(reason, words, status)
