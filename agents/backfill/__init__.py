"""fresh_first: the past beside what is new."""
