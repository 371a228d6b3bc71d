"""`python -m penstock.simulation`: the simulated cluster as a process, until SIGTERM."""

import asyncio
import signal
from pathlib import Path
from random import Random

import click

from penstock.simulation.cluster import SAMPLE_NODES, SimulatedCluster, SimulationSettings
from penstock.simulation.nodes import NODE_KINDS


@click.command()
@click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where to write it.")
@click.option("--nodes", default=",".join(f"{kind}={count}" for kind, count in SAMPLE_NODES.items()), show_default=True)
@click.option(
    "--speed", type=click.FloatRange(min=0.1), default=20.0, show_default=True, help="Times faster than real."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the API server; 0: any free one.")
def main(*, kubeconfig: Path, nodes: str, speed: float, port: int) -> None:
    """Serve a simulated cluster until SIGTERM or Ctrl-C."""
    asyncio.run(_serve(kubeconfig, SimulationSettings(nodes=_counts(nodes), speed=speed, port=port)))


def _counts(text: str) -> dict[str, int]:
    """`h100=2,b200=1`."""
    counts: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        kind, _, count = part.partition("=")
        if kind not in NODE_KINDS or not count.isdecimal():
            known = ", ".join(NODE_KINDS)
            message = f"'{part}' is not KIND=COUNT with a kind of {known}"
            raise click.BadParameter(message, param_hint="--nodes")
        counts[kind] = int(count)
    return counts


async def _serve(kubeconfig: Path, settings: SimulationSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    # Names and addresses need no secret randomness.
    async with SimulatedCluster(settings, random=Random()) as cluster:  # noqa: S311 - see above
        cluster.kubeconfig(kubeconfig)
        click.echo(f"serving at {cluster.server.url}; export KUBECONFIG={kubeconfig}")
        await stop.wait()


if __name__ == "__main__":
    main()
