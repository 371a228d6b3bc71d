"""The cluster that a command talks to: its options, the client, and every failure as a sentence with a cure.

Exit code 2 is for all of it: nobody was reached, or nobody may be asked.
"""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
import orjson

from penstock.cluster.client import Client
from penstock.cluster.errors import Forbidden, Unavailable
from penstock.cluster.resources import CUSTOM_RESOURCE_DEFINITIONS
from penstock.errors import ClusterError, PenstockError

__all__ = [
    "EXIT_ATTENTION",
    "EXIT_UNREACHABLE",
    "MISSING_CRDS",
    "Refusal",
    "Target",
    "cluster_options",
    "connected",
    "maybe_cluster_options",
    "run",
]

EXIT_ATTENTION = 1
EXIT_UNREACHABLE = 2

_FIRST_ANSWER_SECONDS = 10.0
_OK = 200
_DENIED = (401, 403)

P = ParamSpec("P")
T = TypeVar("T")


class Refusal(click.ClickException):
    """A command that cannot do its work: a sentence with a cure, and exit code 2."""

    exit_code = EXIT_UNREACHABLE


@dataclass(frozen=True, slots=True)
class Target:
    """Where the cluster is; None: as kubectl would find it."""

    kubeconfig: str | None = None
    context: str | None = None

    @property
    def file(self) -> str | None:
        """The kubeconfig: what was named, else kubectl's own; None: from inside the cluster."""
        default = Path.home() / ".kube" / "config"
        inside = "KUBERNETES_SERVICE_HOST" in os.environ
        return self.kubeconfig or (str(default) if default.exists() or not inside else None)


def cluster_options(command: Callable[P, T]) -> Callable[P, T]:
    """`--kubeconfig` and `--context`, handed over as `target`."""

    @click.option(
        "--kubeconfig",
        envvar="KUBECONFIG",
        type=click.Path(dir_okay=False),
        help="Left out: ~/.kube/config, or the service account inside a pod.",
    )
    @click.option("--context", help="A context of the kubeconfig. Left out: its current one.")
    @functools.wraps(command)
    def wrapped(*args: P.args, **options: P.kwargs) -> T:
        kubeconfig, context = options.pop("kubeconfig"), options.pop("context")
        options["target"] = Target(kubeconfig, context)  # type: ignore[arg-type] # click converts
        return command(*args, **options)

    return wrapped


def maybe_cluster_options(command: Callable[P, T]) -> Callable[P, T]:
    """The same for commands that need no cluster: `target` is None where neither option is given.

    KUBECONFIG alone is no wish to look at a cluster; with `--context` it says where the context is.
    """

    @click.option(
        "--kubeconfig",
        type=click.Path(dir_okay=False),
        help="Read from this cluster. Left out, without --context: none.",
    )
    @click.option("--context", help="Read from the cluster of this context of the kubeconfig.")
    @functools.wraps(command)
    def wrapped(*args: P.args, **options: P.kwargs) -> T:
        kubeconfig, context = options.pop("kubeconfig"), options.pop("context")
        wanted = kubeconfig is not None or context is not None
        options["target"] = Target(kubeconfig or os.environ.get("KUBECONFIG") or None, context) if wanted else None  # type: ignore[arg-type] # click converts
        return command(*args, **options)

    return wrapped


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; whatever goes wrong on purpose is told in a sentence, never as a traceback."""
    try:
        return asyncio.run(work)
    except PenstockError as error:
        raise Refusal(_explained(error)) from error
    except BaseExceptionGroup as group:
        leaves = _leaves(group)
        told = next((each for each in leaves if isinstance(each, click.ClickException)), None)
        if told is not None:
            raise told from group
        if not all(isinstance(each, PenstockError) for each in leaves):
            raise
        raise Refusal("; ".join(_explained(each) for each in leaves)) from group


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[tuple[Client, dict[str, Any]]]:
    """A client that was answered once, and the API server's version; Refusal."""
    try:
        client = await Client.connect(kubeconfig=target.file, context=target.context, connections=16)
    except ClusterError as error:
        message = f"{error}. Name a kubeconfig by --kubeconfig or KUBECONFIG, and one of its contexts by --context"
        raise Refusal(message) from error
    async with client:
        yield client, await _version(client)


async def _version(client: Client) -> dict[str, Any]:
    """Asked once, without trying again: a wrong address is told at once."""
    try:
        async with asyncio.timeout(_FIRST_ANSWER_SECONDS):
            status, body = await client.raw("GET", "/version")
    except (Unavailable, TimeoutError) as error:
        said = str(error) or f"no answer in {_FIRST_ANSWER_SECONDS:.0f} s"
        message = (
            f"the API server at {client.server} does not answer ({said}). See whether `kubectl version` does;"
            " name another cluster by --context or --kubeconfig"
        )
        raise Refusal(message) from error
    if status in _DENIED:
        message = f"the API server at {client.server} does not know you ({status}). Log in again, or choose a --context"
        raise Refusal(message)
    try:
        answer = orjson.loads(body) if status == _OK else {}
    except ValueError:
        answer = {}
    if not isinstance(answer, dict) or "gitVersion" not in answer:
        message = (
            f"{client.server} answers, but not as a Kubernetes API server ({status}). Check the kubeconfig's address"
        )
        raise Refusal(message)
    return answer


def _explained(error: BaseException) -> str:
    match error:
        case Forbidden():
            return f"{error}. Ask for a role that allows it; `penstock doctor --check access` lists what you may do"
        case Unavailable():
            return f"{error}. Try again; see whether `kubectl get --raw /readyz` answers"
    cure = getattr(error, "cure", "")
    return f"{error}. {cure[:1].upper()}{cure[1:]}" if cure else str(error)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    nested = (_leaves(each) if isinstance(each, BaseExceptionGroup) else [each] for each in group.exceptions)
    return [leaf for leaves in nested for leaf in leaves]


MISSING_CRDS = (
    f"the cluster has none of Penstock's {CUSTOM_RESOURCE_DEFINITIONS.plural}. Install them:"
    " helm install penstock-crds charts/penstock-crds, then helm install penstock charts/penstock -n penstock-system"
)
"""What to say where none of our kinds is served."""
