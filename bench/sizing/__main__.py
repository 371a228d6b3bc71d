"""`python -m bench.sizing [--data DIR] [PART ...]`: every part, or those that are named."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.figures import progress
from bench.sizing import cache, infeasible, observations, recipes, vram, weights

__all__ = ["PARTS", "main"]

_DATA = Path("../shared/data")

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
    parser.add_argument("--data", type=Path, help=f"folder of the reference data; {_DATA} when left out")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when left out")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part is named {unknown[0]}; use one of {', '.join(PARTS)}")
    data = options.data or _DATA
    if options.data and not data.is_dir():
        parser.error(f"--data {data} is no folder; name the one that holds models.csv")
    if not data.is_dir():
        progress(f"{data} is not at hand, so sizes are not judged; name the reference data with --data")
        return
    for part in options.parts or PARTS:
        PARTS[part](data)


if __name__ == "__main__":
    main(sys.argv[1:])
