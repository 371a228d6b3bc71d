"""Installed as users do, on a real cluster of four nodes: how soon it answers, and what an upheaval costs.

Level 3 needs root, containerd and the test bed's programs (`make testbed-cluster`). Every figure but the images' sizes
is measured on one cluster that this run starts and ends.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.figures import figure, progress
from installed.images import OLDER
from installed.platform import NODES, Platform, running
from installed.rights import unused_rules
from installed.upheavals import Upheaval, drained, leader_change, resident_mib, under_load, upgraded
from level3.prerequisites import missing

__all__ = ["Sizes", "main", "measure"]

_IDLE_SECONDS = 20.0
_ENGINES = 4
_FIRST_SECONDS = 300.0


@dataclass(frozen=True)
class Sizes:
    """Requests per second during upheavals, and how often the leader is killed."""

    per_second: float = 20.0
    leaders: int = 2


def main(arguments: Sequence[str]) -> None:
    """Run it: `--per-second N --leaders N --data DIR`."""
    parser = argparse.ArgumentParser(prog="bench.install", description=__doc__)
    parser.add_argument("--per-second", type=float, default=Sizes.per_second)
    parser.add_argument("--leaders", type=int, default=Sizes.leaders)
    parser.add_argument("--data", type=Path, default=None, help="a folder to work in; a temporary one otherwise")
    options = parser.parse_args(arguments)
    measure(Sizes(options.per_second, options.leaders), options.data)


def measure(sizes: Sizes, data: Path | None) -> None:
    """Print every figure; a word of it where the machine cannot run a whole node."""
    if reasons := missing():
        progress(f"no cluster can be run here, its figures are left out: {'; '.join(reasons)}")
        return
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-bench-")))
        progress("building the images and starting three nodes")
        _measure(stack.enter_context(running(folder)), sizes)


def _measure(platform: Platform, sizes: Sizes) -> None:
    figure("operator_image_mib", platform.images.sizes["operator"], "MiB")
    _install(platform)
    _upgrade(platform, sizes)
    _drain(platform, sizes)
    _leaders(platform, sizes)
    time.sleep(_IDLE_SECONDS)
    figure("operator_rss_mib", resident_mib(platform, "operator"), "MiB")
    unused = unused_rules(platform.cluster, platform.reach)
    figure("rbac_rules_unused", len(unused), "rules", rules=[str(each) for each in unused])


def _install(platform: Platform) -> None:
    """From the first of the README's lines to an answer; images are on the nodes, nothing else is."""
    progress("installing")
    platform.values.update({"images.penstock.tag": OLDER, "images.gateway.tag": OLDER})
    began = time.monotonic()
    platform.install()
    platform.serve()
    platform.until(platform.completes, "the first completion", seconds=_FIRST_SECONDS)
    figure("install_to_first_completion_seconds", time.monotonic() - began, "s")
    platform.until(lambda: len(platform.engines()) == _ENGINES, "all engines are there")


def _upgrade(platform: Platform, sizes: Sizes) -> None:
    progress("upgrading under load")
    tags = {"images.penstock.tag": "", "images.gateway.tag": ""}
    seen = upgraded(platform, tags, per_second=sizes.per_second)
    _failed("upgrade_failed_requests", seen)
    figure("upgrade_engine_pods_rolled", len(seen.rolled), "pods")


def _drain(platform: Platform, sizes: Sizes) -> None:
    for node in NODES:
        progress(f"draining {node.name} under load")
        seen = drained(platform, node.name, per_second=sizes.per_second)
        _failed("drain_failed_requests", seen, node=node.name)


def _leaders(platform: Platform, sizes: Sizes) -> None:
    with under_load(platform, per_second=sizes.per_second) as seen:
        took = [leader_change(platform) for _ in range(sizes.leaders)]
    figure("leader_change_seconds", max(took), "s", failed_requests=seen.tally.failed)


def _failed(name: str, seen: Upheaval, **details: object) -> None:
    tally = seen.tally
    more = {"requests": tally.sent, "broken_streams": tally.broken, "seconds": round(seen.seconds, 1), **details}
    figure(name, tally.failed, "requests", **more)


if __name__ == "__main__":
    main(sys.argv[1:])
