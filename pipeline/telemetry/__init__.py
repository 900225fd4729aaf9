"""Self-metrics (one catalogue) and logging."""
