"""The planner's allocation and its incremental pass, with nothing around them."""

from bench.placement.run import main

__all__ = ["main"]
