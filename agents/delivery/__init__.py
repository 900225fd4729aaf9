"""From records to outcomes: requests, retries, division, dead letters, pace."""
