"""`python -m penstock.cluster.fake`: the in-memory API server as a process, until SIGTERM."""

import argparse
import asyncio
import signal
from pathlib import Path

import yaml

from penstock.cluster.fake.server import LIMITS, FakeAPIServer


def main() -> None:
    """Serve."""
    options = _parser().parse_args()
    asyncio.run(_serve(options))


def _parser() -> argparse.ArgumentParser:
    epilog = "It does not do: " + "; ".join(LIMITS) + "."
    parser = argparse.ArgumentParser(prog="python -m penstock.cluster.fake", description=__doc__, epilog=epilog)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--token", default="", help="the bearer token to ask for; left out: anybody may come")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="where to write one")
    parser.add_argument("--crds", type=Path, help="a folder of CRDs to serve from the start")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with FakeAPIServer(host=options.host, port=options.port, token=options.token) as server:
        for path in sorted(options.crds.glob("*.yaml")) if options.crds else ():
            for manifest in yaml.safe_load_all(path.read_text()):
                server.put(manifest)
        server.kubeconfig(options.kubeconfig)
        print(f"serving on {server.url}", flush=True)  # noqa: T201 - what a user waits for
        await stop.wait()


if __name__ == "__main__":
    main()
