"""Exposition formats to samples. One file for each format."""
