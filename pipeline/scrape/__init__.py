"""Scraping: target, loop, pool, manager; exposition text to encoded fragments."""
