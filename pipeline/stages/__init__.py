"""From a decoded line to the entry that travels: Promtail's pipeline stages, compiled once for each job."""
