"""`cold_start_seconds`: a restart with everything in place, until each key was visited and nothing was written."""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.figures import figure, progress
from bench.fleet import GPUS_PER_NODE, deployments, nodes, pool
from bench.memory_server import memory_server
from bench.operator_process import OperatorProcess, operator_process
from bench.population import install_crds, make_namespace, populate
from bench.steady import until_quiet
from penstock.cluster.client import Client

__all__ = ["main"]

_LIMIT_SECONDS = 300


def main(arguments: Sequence[str]) -> None:
    """Run it: `--deployments N`."""
    parser = argparse.ArgumentParser(prog="bench cold-start", description=__doc__)
    parser.add_argument("--deployments", type=int, default=5000)
    parser.add_argument("--data", type=Path, default=None, help="a folder to work in; a temporary one otherwise")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        asyncio.run(_run(Path(folder), options.deployments))


async def _run(folder: Path, count: int) -> None:
    async with memory_server(folder) as kubeconfig, await Client.connect(kubeconfig=str(kubeconfig)) as client:
        await install_crds(client)
        for namespace in ("measured", "penstock-system"):
            await make_namespace(client, namespace)
        await populate(client, [pool(), *nodes(-(-count // GPUS_PER_NODE)), *deployments(count, "measured")])
        progress(f"a first operator makes the children of {count} deployments")
        async with operator_process(kubeconfig, folder / "first.log") as operator:
            await operator.until_ready()
            await until_quiet(operator, count)
        progress("the restart")
        async with operator_process(kubeconfig, folder / "second.log") as operator:
            await _until_visited(operator, count)
            await _report(operator, count)


async def _until_visited(operator: OperatorProcess, count: int) -> None:
    await operator.until_ready()
    async with asyncio.timeout(_LIMIT_SECONDS):
        while True:
            sample = await operator.sample()
            visited = sample.total("controller_runtime_reconcile_total", 'controller="modeldeployment"')
            placed = sample.total("controller_runtime_reconcile_total", 'controller="placement"')
            if visited >= count and placed and not sample.total("workqueue_depth"):
                return
            await asyncio.sleep(0.05)


async def _report(operator: OperatorProcess, count: int) -> None:
    seconds, sample = operator.age, await operator.sample()
    figure(
        "cold_start_seconds", seconds, "s", deployments=count, writes=sample.writes, cpu_seconds=operator.cpu_seconds
    )
    figure("rss_mib", operator.rss_mib, "MiB", deployments=count, during="restart")
    lag = sample.quantile("penstock_event_loop_lag_seconds", 0.99) * 1000
    figure("loop_lag_p99_ms", lag, "ms", deployments=count, during="restart")
