"""What commands share that work beside the agents: bounded reading, and delivery without a consumer group."""
