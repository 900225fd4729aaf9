"""`headrace demo`: real Envoys, real Kafka, an outage, and the proof that nothing was lost."""
