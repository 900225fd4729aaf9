"""The configuration: Prometheus's and Promtail's own keys, checked strictly, all errors at once."""
