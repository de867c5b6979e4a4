"""Simulations with a known truth, which tests and benchmarks share."""
