"""Faust and Kafka: what is read, what is acknowledged, what travels with an offset, where a partition begins."""
