"""The Faust applications: one consumer group per backend, from Kafka to the backend's own 2xx."""
