"""Run a cluster by hand: `PYTHONPATH=operator:e2e python -m level3 --keep`."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from level3.cluster import NODES, Cluster
from level3.nodes import NodeSpec
from testbed.errors import TestbedError
from testbed.gpu_nodes import GPUS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(argv)
    for asked in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs would ignore the first
        signal.signal(asked, signal.default_int_handler)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="penstock-level3-"))
    try:
        with Cluster.start(folder / "c", options.nodes) as cluster:
            print(f"ready after {time.monotonic() - started:.1f} s", file=sys.stderr)
            for archive in options.image:
                cluster.import_image(archive)
            if options.keep:
                _tell(cluster)
                signal.pause()
    except KeyboardInterrupt:
        pass
    except TestbedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


def _tell(cluster: Cluster) -> None:
    print(f"export KUBECONFIG={cluster.kubeconfig}", flush=True)
    print(f"into its network: {' '.join(cluster.enter)}", file=sys.stderr)
    print(f"logs: {cluster.folder}/*.log. Ctrl-C ends it.", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m level3", description="Run a Kubernetes cluster of real nodes on this machine, as root."
    )
    parser.add_argument("--keep", action="store_true", help="keep it running until Ctrl-C; left out: start, then stop")
    parser.add_argument("--image", metavar="TAR", type=Path, nargs="+", default=[], help="load these image archives")
    parser.add_argument(
        "--nodes",
        metavar="NAME[=KIND:COUNT]",
        type=_node,
        nargs="+",
        default=list(NODES),
        help=f"as in gpu-a=h100:8 cpu-a (left out: two such and one without GPUs); kinds: {', '.join(GPUS)}",
    )
    return parser


def _node(text: str) -> NodeSpec:
    name, _, gpus = text.partition("=")
    kind, _, count = gpus.partition(":")
    if gpus and (kind not in GPUS or not count.isdigit()):
        message = f"{gpus} is not KIND:COUNT with a kind of {', '.join(GPUS)}"
        raise argparse.ArgumentTypeError(message)
    return NodeSpec(name, gpus=(kind, int(count)) if gpus else None)


if __name__ == "__main__":
    sys.exit(main())
