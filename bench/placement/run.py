"""All figures of placement: cost-optimal mixes against their proved costs, whole fleets at once, one change of many."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.figures import progress
from bench.placement import capacity_cases, fleets, incremental, reference_cases

__all__ = ["main"]

_FLEETS = ((200, 15, 1), (1000, 30, 1), (200, 15, 3))
_DATA = Path("../shared/data")


def main(arguments: Sequence[str]) -> None:
    """Print the figures; those of the cases only where the data are."""
    options = _options(arguments)
    cases = options.data / "melange"
    for run, path in (
        (reference_cases.run, cases / "reference_cases.json"),
        (capacity_cases.run, cases / "capacity_cases.json"),
    ):
        if path.is_file():
            run(path)
        else:
            progress(f"no {path}: its figures are left out (--data DIR)")
    for models, pools, buckets in options.fleets:
        fleets.run(models, pools, buckets, gap=options.gap, seconds=options.seconds, seed=options.seed)
    incremental.wall(options.deployments, options.nodes, options.rounds)
    incremental.processor(options.changed_among, options.changed_among // 2, options.rounds)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="placement", description=__doc__)
    parser.add_argument("--data", type=Path, default=_DATA, help="the folder that holds melange/")
    parser.add_argument("--fleets", type=_fleet, nargs="*", default=_FLEETS, metavar="MODELSxPOOLS[xBUCKETS]")
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--seconds", type=float, default=30.0, help="time limit of each whole fleet")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--changed-among", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=200)
    return parser.parse_args(arguments)


def _fleet(text: str) -> tuple[int, int, int]:
    models, pools, *buckets = text.split("x")
    return int(models), int(pools), int(buckets[0]) if buckets else 1
