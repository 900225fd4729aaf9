"""Which replica scrapes which target: a consumer group shares them out, without two owners at any moment."""
