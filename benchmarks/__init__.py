"""Measurements of speed and memory against a plain implementation or a bound; run by ``make bench``.

A benchmark is a module of this package with a function ``measure() -> list[Result]``, named in ``run.BENCHMARKS``.
"""
