"""Relabelling with Prometheus's exact semantics; RE2 for every expression."""
