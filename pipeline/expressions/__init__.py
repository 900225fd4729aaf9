"""The small languages that stages quote: RE2, LogQL selectors, Loki patterns, Go templates and time layouts."""
