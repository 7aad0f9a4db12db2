"""Benchmarks: interleaved rounds, ratios with intervals, targets met or not. Never tests."""
