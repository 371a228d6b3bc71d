"""`python -m bench [NAME [OPTIONS]]`: all benchmarks, or one with its own sizes."""

import sys
from collections.abc import Callable, Sequence

from bench import cold_start, gateway_sync, install, performance, placement, reconcile, steady
from bench.sizing.__main__ import main as sizing

BENCHMARKS: dict[str, Callable[[Sequence[str]], None]] = {
    "placement": placement.main,
    "performance": performance.main,
    "reconcile": reconcile.main,
    "steady": steady.main,
    "cold-start": cold_start.main,
    "gateway-sync": gateway_sync.main,
    "install": install.main,
    "sizing": sizing,
}


def main(arguments: Sequence[str]) -> int:
    """Run what is named, or everything."""
    if not arguments:
        for run in BENCHMARKS.values():
            run([])
        return 0
    name, *rest = arguments
    if name not in BENCHMARKS:
        print(f"usage: python -m bench [{'|'.join(BENCHMARKS)}] [OPTIONS]", file=sys.stderr)
        return 2
    BENCHMARKS[name](rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
