"""The only door to Kafka for sources: packs fragments per partition and sends them with acks=all."""
