"""Measurements, each a ratio of things run side by side: `python -m benchmarks`."""
