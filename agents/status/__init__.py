"""`headrace status`: what Kafka knows of each backend, read from its groups and topics; works without any agent."""
