"""`python -m bench.sizing [--data DIR] [PART ...]`: every part, or those that are named."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.sizing import cache, infeasible, observations, recipes, vram, weights

__all__ = ["PARTS", "main"]

PARTS: Mapping[str, Callable[[Path], None]] = {
    "weights": weights.run,
    "cache": cache.run,
    "vram": vram.run,
    "observations": observations.run,
    "recipes": recipes.run,
    "infeasible": infeasible.run,
}


def main(arguments: Sequence[str]) -> None:
    """Print the figures of each part over the reference data of a folder."""
    parser = argparse.ArgumentParser(prog="sizing")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the reference data")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when left out")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part is named {unknown[0]}; use one of {', '.join(PARTS)}")
    if not options.data.is_dir():
        parser.error(f"--data {options.data} is no folder; name the one that holds models.csv")
    for part in options.parts or PARTS:
        PARTS[part](options.data)


if __name__ == "__main__":
    main(sys.argv[1:])
