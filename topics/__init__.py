"""What travels through Kafka: labels, keys, records, topics. Imports nothing else of headrace."""
