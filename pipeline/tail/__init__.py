"""Tailing log files: paths, positions, readers, decoders."""
