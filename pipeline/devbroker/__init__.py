"""The embedded broker: the real Apache Kafka as a child process, for laptops, demos and tests. Never in production."""
