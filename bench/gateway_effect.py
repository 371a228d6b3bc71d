"""How soon a change is in force: `route_effective_seconds_p99`, `drain_seconds_p99`.

On level 2: a real control plane, the operator, `penstock server` on PostgreSQL where there is one, two replicas with
LiteLLM, simulated engines. In force means that the server has the acknowledgement of the last replica.
"""

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.figures import figure, progress
from level2.cluster import Level2, backend_of, endpoints_of, running, weights_of
from level2.manifests import deployment, route
from testbed.binaries import find

__all__ = ["Sizes", "main", "measure"]

_ENVIRONMENT = Path(__file__).resolve().parent.parent / ".venv-gateway" / "bin" / "python"
_SEED = 7
_PAUSE_SECONDS = 0.5
_LARGEST_WEIGHT = 1000


@dataclass(frozen=True)
class Sizes:
    """How many changes and drains, and how many requests per second meanwhile, half of them streams."""

    changes: int = 50
    drains: int = 20
    per_second: float = 20.0


def main(arguments: Sequence[str]) -> None:
    """Run it: `--changes N --drains N --per-second N`."""
    parser = argparse.ArgumentParser(prog="bench.gateway_effect", description=__doc__)
    parser.add_argument("--changes", type=int, default=Sizes.changes)
    parser.add_argument("--drains", type=int, default=Sizes.drains)
    parser.add_argument("--per-second", type=float, default=Sizes.per_second)
    parser.add_argument("--python", type=Path, default=_ENVIRONMENT, help="the environment with LiteLLM")
    parser.add_argument("--data", type=Path, default=None, help="a folder to work in; a temporary one otherwise")
    options = parser.parse_args(arguments)
    measure(Sizes(options.changes, options.drains, options.per_second), options.python, options.data)


def measure(sizes: Sizes, python: Path, data: Path | None) -> None:
    """Print both figures; a word of it where the test bed's programs are not here."""
    if find() is None:
        progress("the test bed's programs are missing: `make testbed` gets them; two figures are left out")
        return
    with tempfile.TemporaryDirectory(dir=data) as folder:
        asyncio.run(_run(sizes, python, Path(folder)))


async def _run(sizes: Sizes, python: Path, folder: Path) -> None:
    progress("starting a control plane with two gateway replicas")
    async with running(folder / "parts", python=python) as level2:
        await level2.apply(deployment("one"), deployment("two"), route("chat", {"one": 1, "two": 1}))
        await level2.routed("one", "two")
        await _effects(level2, sizes)
        await _drains(level2, sizes.drains)


async def _effects(level2: Level2, sizes: Sizes) -> None:
    """From the API's answer to the Route's change to the last acknowledgement, under load."""
    random, took = Random(_SEED), list[float]()
    async with level2.load(per_second=sizes.per_second) as load:
        for number in range(sizes.changes):
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))
            took.append(await _change(level2, 2 + number % _LARGEST_WEIGHT))
    figure(
        "route_effective_seconds_p99",
        _quantile(took, 0.99),
        "s",
        p50=round(_quantile(took, 0.5), 3),
        changes=sizes.changes,
        requests=load.counts.sent,
        failed_requests=load.counts.failed,
        broken_streams=load.counts.broken,
    )


async def _change(level2: Level2, weight: int) -> float:
    await level2.apply(route("chat", {"one": weight, "two": 1}))
    began = time.monotonic()
    wanted = {backend_of("one"): weight, backend_of("two"): 1}
    await level2.published.until(lambda table: weights_of(table, "chat") == wanted)
    return time.monotonic() - began


async def _drains(level2: Level2, count: int) -> None:
    """From the API's answer to a deletion to the last acknowledgement, with nothing in flight."""
    took = list[float]()
    for number in range(count):
        name = f"leaves-{number}"
        await level2.apply(deployment(name), route("drains", {"one": 1, name: 1}))
        await level2.routed(name)
        await level2.delete(name)
        began = time.monotonic()
        await _gone(level2, name)
        took.append(time.monotonic() - began)
    figure("drain_seconds_p99", _quantile(took, 0.99), "s", p50=round(_quantile(took, 0.5), 3), drains=count)


async def _gone(level2: Level2, name: str) -> None:
    await level2.published.until(lambda table: not endpoints_of(table, name))


def _quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


if __name__ == "__main__":
    main(sys.argv[1:])
