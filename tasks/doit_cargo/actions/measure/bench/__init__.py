"""Benchmarks: run, results, and the comparison with a saved baseline."""
