"""Measurements of speed and memory against a plain implementation, another library or a bound; `make bench` runs them.

A measurement is a module of this package with a function ``measure() -> list[Result]``; ``run.BENCHMARKS`` lists the
modules.
"""
