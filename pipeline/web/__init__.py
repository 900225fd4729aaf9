"""The HTTP server of a role: /metrics, /-/healthy, /-/ready, /-/reload, status and pages."""
