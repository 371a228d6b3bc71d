"""Penstock as users install it, on level 3: images, chart, samples, a load; what tests and benchmarks share."""
