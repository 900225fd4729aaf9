"""Replay: what Kafka still holds of a time range, to one backend again, beside its live traffic."""
