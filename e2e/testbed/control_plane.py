"""A real control plane on loopback: etcd and the API server; on demand the controllers, the scheduler and KWOK.

Every control plane has a folder of its own and one port, so any number run side by side. None needs root:

    with ControlPlane.start(controllers=True, nodes=True) as plane:
        plane.create_nodes(gpu_nodes("h100", 4))
        plane.kubectl("get", "nodes")

`python e2e/testbed/control_plane.py --keep` runs one until Ctrl-C.
"""

import argparse
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

if not __package__:  # run as a script: its own folder is on the path, its package's parent is not
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed import command_lines
from testbed.binaries import Binaries, find
from testbed.command_lines import Site
from testbed.commands import run
from testbed.connection import Connection
from testbed.errors import BinariesMissingError, NotReadyError, StartError, TestbedError
from testbed.gpu_nodes import GPUS, gpu_nodes
from testbed.kubeconfig import kubeconfig
from testbed.processes import Group, OfDaemons

STAGES = Path(__file__).resolve().parent / "stages"
API_SERVER = "kube-apiserver"

_GRACE = 2.0
"""Seconds between asking and killing; an API server that is being watched would take up to a minute."""
_POD_NETWORK = "10.128.0.0/9"
_LONGEST_FOLDER = 90
"""Sockets lie in the folder, and their paths may have little more than a hundred characters."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How long pretend pods load their model: a random time between the two, in seconds."""

    shortest: float = 0.0
    longest: float = 0.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a control plane consists of."""

    controllers: bool = False
    nodes: bool = False
    loading: Loading = Loading()
    pod_network: str = _POD_NETWORK
    played_elsewhere: tuple[str, ...] = ()
    api_server_args: tuple[str, ...] = ()
    timeout: float = 60.0


class ControlPlane(OfDaemons):
    """A running control plane; `start` makes one, the end of the `with` block ends it."""

    def __init__(self, programs: Binaries, options: Options) -> None:
        self._programs = programs
        self._options = options
        self._port = _reserve_port()
        self._site = Site(_private_folder(), self._port.getsockname()[1])
        self._group = Group(self._site.folder)
        self._connection: Connection | None = None
        self.token = secrets.token_urlsafe(24)

    @classmethod
    def start(
        cls,
        *,
        controllers: bool = False,
        nodes: bool = False,
        loading: Loading | None = None,
        pod_network: str = _POD_NETWORK,
        played_elsewhere: Sequence[str] = (),
        api_server_args: Sequence[str] = (),
        timeout: float = 60.0,
    ) -> Self:
        """Start one and wait until it is ready.

        `controllers` adds the controller manager and the scheduler, `nodes` adds KWOK, whose pods take `loading` and
        an address of `pod_network`. KWOK leaves the stages that are `played_elsewhere` (`pod-ready`) to somebody else.
        """
        options = Options(
            controllers,
            nodes,
            loading or Loading(),
            pod_network,
            tuple(played_elsewhere),
            tuple(api_server_args),
            timeout,
        )
        plane = cls(_programs(options), options)
        try:
            plane._boot()
        except NotReadyError as error:
            plane._end()
            message = f"{error}\nthe logs stay in {plane.folder}"
            raise StartError(message) from error
        except BaseException:
            plane.stop()
            raise
        return plane

    @property
    def kubeconfig(self) -> Path:
        """The file to connect with, as a member of system:masters."""
        return self._site.kubeconfig

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return f"https://127.0.0.1:{self._site.port}"

    @property
    def folder(self) -> Path:
        """Where logs and data are; gone after `stop`."""
        return self._site.folder

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints."""
        # A cache of its own: ports come again, and another cluster's kinds with them.
        place = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder / 'kubectl'}"]
        # Nor the user's own preferences.
        return run([str(self._programs.kubectl), *place, *args], more={"KUBERC": "off"}, stdin=stdin)

    def create_nodes(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """Create nodes and, with KWOK, wait until all of the cluster's nodes are Ready."""
        for node in nodes:
            self._api().create("/api/v1/nodes", node)
        if self._options.nodes:
            self.until(self._nodes_are_ready, "some node")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something; raise with the ends of the logs when it takes too long or a process has ended."""
        self._group.until(condition, what, self._options.timeout)

    def restart_api_server(self, *, down: float = 0.0) -> None:
        """Kill the API server, leave it down for so many seconds, and start it again at the same address."""
        self._group[API_SERVER].kill()
        self._api().close()
        time.sleep(down)
        self._start_api_server()
        self.until(lambda: self._api().answers("/readyz"), "the API server")

    def stop(self) -> None:
        """End all processes and remove the folder."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._group.stop(_GRACE)
        self._port.close()

    def _boot(self) -> None:
        self._site.tokens.write_text(f"{self.token},testbed,testbed,system:masters\n")
        self._group.start("etcd", command_lines.etcd(self._programs, self._site))
        self.until(self._site.etcd_socket.is_socket, "etcd")
        self._start_api_server()
        self.until(self._site.key.exists, "the API server's certificate")  # its key is written last
        self.kubeconfig.write_text(kubeconfig(self.url, self.token, self._site.certificate))
        self.until(lambda: self._api().answers("/readyz"), "the API server")
        self._start_others()
        # Both are made in the background, later than readiness; without them no pod can be created.
        self.until(lambda: self._api().answers("/api/v1/namespaces/default"), "the default namespace")
        if self._options.controllers:
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self.until(lambda: self._api().answers(account), "the controller manager")

    def _start_api_server(self) -> None:
        options = self._options
        argv = command_lines.api_server(
            self._programs, self._site, controllers=options.controllers, extra=options.api_server_args
        )
        self._group.start(API_SERVER, argv)

    def _start_others(self) -> None:
        if self._options.controllers:
            argv = command_lines.controller_manager(self._programs, self._site)
            self._group.start("kube-controller-manager", argv)
            self._group.start("kube-scheduler", command_lines.scheduler(self._programs, self._site))
        if self._options.nodes:
            self._site.stages.write_text(_stages(self._options.loading, self._options.played_elsewhere))
            self._group.start("kwok", command_lines.kwok(self._programs, self._site, self._options.pod_network))

    def _api(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._site.port, self.token, self._site.certificate)
        return self._connection

    def _nodes_are_ready(self) -> bool:
        # The API server's cache will do (resource version 0); `kubectl wait` asks for each node by itself.
        nodes = self._api().read("/api/v1/nodes?resourceVersion=0")["items"]
        return all(_is_ready(node) for node in nodes)


def _programs(options: Options) -> Binaries:
    programs = find()
    if programs is None or not _suffice(programs, options):
        message = "the test bed's programs are not all here: run `python e2e/testbed/binaries.py`"
        raise BinariesMissingError(message)
    return programs


def _suffice(programs: Binaries, options: Options) -> bool:
    controllers = (programs.kube_controller_manager, programs.kube_scheduler) if options.controllers else ()
    return None not in controllers and not (options.nodes and programs.kwok is None)


def _is_ready(node: Mapping[str, Any]) -> bool:
    conditions = node["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _reserve_port() -> socket.socket:
    """Hold a free port for the API server, which shares it, as long as the control plane lives.

    A socket that is bound but does not listen takes no connections, and keeps everybody else from being given the port.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


def _private_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="penstock-testbed-"))
    if len(str(folder)) < _LONGEST_FOLDER:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="penstock-testbed-", dir="/tmp"))


def _stages(loading: Loading, played_elsewhere: Sequence[str]) -> str:
    played = (path for path in sorted(STAGES.glob("*.yaml")) if path.stem not in played_elsewhere)
    text = "---\n".join(path.read_text() for path in played)
    filled = text.replace("LOADING_SHORTEST", f"{loading.shortest}s")
    return filled.replace("LOADING_LONGEST", f"{max(loading.shortest, loading.longest)}s")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    started = time.monotonic()
    try:
        with ControlPlane.start(
            controllers=options.controllers or bool(options.gpu_nodes),
            nodes=options.nodes or bool(options.gpu_nodes),
            loading=Loading(*options.loading),
        ) as plane:
            for kind, count in options.gpu_nodes:
                plane.create_nodes(gpu_nodes(kind, count))
            print(f"ready after {time.monotonic() - started:.1f} s", file=sys.stderr)
            if options.keep:
                print(plane.kubeconfig, flush=True)
                signal.pause()
    except TestbedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run a Kubernetes control plane on loopback; print its kubeconfig.")
    parser.add_argument("--keep", action="store_true", help="keep it running until Ctrl-C; left out: start, then stop")
    parser.add_argument("--controllers", action="store_true", help="with controller manager and scheduler")
    parser.add_argument("--nodes", action="store_true", help="with KWOK, which plays nodes labelled type=kwok")
    parser.add_argument(
        "--gpu-nodes",
        metavar="KIND=COUNT",
        type=_kind_and_count,
        nargs="+",
        default=[],
        help=f"with such nodes, controllers and KWOK; kinds: {', '.join(GPUS)}",
    )
    parser.add_argument(
        "--loading",
        metavar=("SHORTEST", "LONGEST"),
        type=float,
        nargs=2,
        default=[0.0, 0.0],
        help="how long pods load their model, in seconds",
    )
    return parser


def _kind_and_count(text: str) -> tuple[str, int]:
    kind, _, count = text.partition("=")
    if kind not in GPUS:
        message = f"{kind} is none of {', '.join(GPUS)}"
        raise argparse.ArgumentTypeError(message)
    return kind, int(count or 1)


if __name__ == "__main__":
    sys.exit(main())
