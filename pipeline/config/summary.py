"""A valid configuration in a few lines: what would run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.config.backends import backends
from pipeline.config.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config.root import Config


def summary(config: Config) -> Iterator[str]:
    """Jobs, backends, Kafka and topics, a line each. No secrets."""
    jobs, log_jobs, found = config.scrape_configs, config.logs.scrape_configs, backends(config)
    yield f"{_count(len(jobs), 'scrape job')}: {_names(job.job_name for job in jobs)}" if jobs else "no scrape jobs"
    yield (
        f"{_count(len(log_jobs), 'log job')}: {_names(job.job_name for job in log_jobs)}" if log_jobs else "no log jobs"
    )
    if not found:
        yield "no backends: data would stay in Kafka"
    for backend in found:
        yield f"backend {backend.name} ({backend.kind}): {backend.redacted_url}"
    kafka, topics = config.kafka, config.topics
    yield (
        f"Kafka: {', '.join(kafka.brokers)}" if kafka.brokers else "Kafka: embedded (give kafka.brokers in production)"
    )
    retention = format_duration(topics.retention)
    yield f"topics {kafka.prefix}metrics and {kafka.prefix}logs: {topics.partitions} partitions, kept for {retention}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _names(names: Iterator[str]) -> str:
    """The first few names; a file may hold thousands."""
    every = list(names)
    return ", ".join(every[:10]) + (f" and {len(every) - 10} more" if len(every) > 10 else "")
