"""`python -m penstock.cluster.fake`: the in-memory API server as a process, until SIGTERM."""

import argparse
import asyncio
import signal
from pathlib import Path

from penstock.cluster.fake.server import LIMITS, FakeAPIServer


def main() -> None:
    """Serve."""
    epilog = "It does not do: " + "; ".join(LIMITS) + "."
    parser = argparse.ArgumentParser(prog="python -m penstock.cluster.fake", description=__doc__, epilog=epilog)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="where to write one")
    options = parser.parse_args()
    asyncio.run(_serve(options.host, options.port, options.kubeconfig))


async def _serve(host: str, port: int, kubeconfig: Path) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with FakeAPIServer(host=host, port=port) as server:
        server.kubeconfig(kubeconfig)
        print(f"serving on {server.url}", flush=True)  # noqa: T201 - what a user waits for
        await stop.wait()


if __name__ == "__main__":
    main()
