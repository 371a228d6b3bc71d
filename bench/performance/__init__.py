"""How well the performance model meets measured rows."""

from bench.performance.scoring import main

__all__ = ["main"]
