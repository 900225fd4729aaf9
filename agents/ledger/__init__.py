"""Where every sample and line went: the accounts of partitions, exact across restarts and rebalances."""
