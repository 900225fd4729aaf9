"""Service discovery: each mechanism turns its own configuration into target groups."""
