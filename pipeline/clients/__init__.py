"""Clients of backends: remote write and Loki push, and what their answers mean."""
