"""What is in a record, and what the rules of a backend make of it. Knows neither Kafka nor HTTP."""
