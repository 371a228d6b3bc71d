"""`penstock operator`: watch, decide, apply, until SIGTERM."""

import asyncio
import gc
import logging
import os
import random
import signal
import socket
import sys
from typing import Any

import click

from penstock.access.names import SYSTEM_NAMESPACE
from penstock.api.refusals import Refusal
from penstock.cli.logs import log_to_stderr
from penstock.cli.namespaces import NamespaceList
from penstock.cli.option_values import BASE_CURRENCY, limits_named, rates_named
from penstock.cli.refusing import option_refused
from penstock.metrics import Metrics
from penstock.process import LostLease, OperatorSettings, Surroundings, run_operator
from penstock.reconcilers.inferencegateway import DEFAULT_GATEWAY_IMAGE
from penstock.workqueue.clock import SystemClock

__all__ = ["operator"]

_EXIT_LOST_LEASE = 3
_NOISY = ("kopf", "aiohttp", "asyncio", "httpx")
"""What they say at INFO our own lines say once."""

_log = logging.getLogger("penstock")


@click.command()
@click.option("--kubeconfig", type=click.Path(dir_okay=False), envvar="KUBECONFIG", help="Left out: in-cluster.")
@click.option("--namespace", default=SYSTEM_NAMESPACE, show_default=True, help="Where the Lease and caches live.")
@click.option("--workers", type=click.IntRange(1, 256), default=24, show_default=True)
@click.option("--health-host", "host", default="0.0.0.0", show_default=True, help="Where probes and metrics listen.")  # noqa: S104 - probes come from the node
@click.option("--health-port", "port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--leader-elect/--no-leader-elect", default=True, show_default=True)
@click.option("--hub-url", default="https://huggingface.co", show_default=True, help="The model hub or its mirror.")
@click.option("--hub/--no-hub", "hub_enabled", default=True, show_default=True, help="--no-hub: an air-gapped site.")
@click.option(
    "--read-engines/--no-read-engines",
    default=True,
    show_default=True,
    help="Ask engines for their own figures, and plan with what they teach.",
)
@click.option("--server-url", default="", help="The control-plane server; without it no gateway is run.")
@click.option("--server-token-file", type=click.Path(dir_okay=False), help="Left out: the service account's own token.")
@click.option("--gateway-server-url", default="", help="The server as gateway replicas reach it, where that differs.")
@click.option("--gateway-image", default=DEFAULT_GATEWAY_IMAGE, show_default=True)
@click.option(
    "--issue-certificates", is_flag=True, help="Keep the server's certificate and its authority in Secrets, and rotate."
)
@click.option(
    "--server-ca-file", type=click.Path(dir_okay=False), help="Trust these authorities of the server; read anew."
)
@click.option(
    "--gateway-token-days", type=click.IntRange(1, 365), default=30, show_default=True, help="Then they are replaced."
)
@click.option(
    "--watch-namespaces",
    type=NamespaceList("watch all namespaces: leave the option out", most=100),
    help="Look at these only: a,b. Left out: at all.",
)
@click.option(
    "--secret-namespaces",
    type=NamespaceList(most=1000),
    help="Use Secrets in these only: a,b, or none where it is empty. Left out: wherever it looks.",
)
@click.option(
    "--currency", default=BASE_CURRENCY, show_default=True, help="What exchange rates and limits are in, by ISO 4217."
)
@click.option(
    "--exchange-rate",
    "worth",
    multiple=True,
    metavar="CURRENCY=AMOUNT",
    help="What one unit of another currency is worth in --currency, as in EUR=1.08. Left out: not compared.",
)
@click.option("--max-price-per-hour", "most", metavar="AMOUNT", help="The most that all deployments together may cost.")
@click.option(
    "--namespace-max-price-per-hour",
    "by_namespace",
    multiple=True,
    metavar="NAMESPACE=AMOUNT",
    help="The most that the deployments of a namespace may cost together, as in team-a=30.00.",
)
@click.option("--log-format", type=click.Choice(["json", "text"]), default="json", show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), default="info", show_default=True)
def operator(*, log_format: str, log_level: str, **settings: Any) -> None:
    """Run the operator: place models, serve them, keep their status true."""
    _agree(settings["watch_namespaces"], settings["secret_namespaces"])
    log_to_stderr(log_format, log_level, noisy=_NOISY)
    _share_the_interpreter()
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}"
    stated = OperatorSettings(identity=identity, **_money(settings), **settings)
    _check_trust(stated)
    sys.exit(asyncio.run(_run(stated)))


def _check_trust(settings: OperatorSettings) -> None:
    """Authorities for a server that is not asked by TLS are a mistake that would go unseen."""
    if settings.issue_certificates and settings.server_ca_file:
        message = "`--server-ca-file` is not for use with `--issue-certificates`: give one of them"
        raise click.UsageError(message)
    option = "--issue-certificates" if settings.issue_certificates else "--server-ca-file"
    if (settings.issue_certificates or settings.server_ca_file) and not settings.server_url.startswith("https:"):
        refusal = Refusal(
            "--server-url", settings.server_url, f"`{option}` asks for TLS", "Give an address with https:"
        )
        raise click.UsageError(str(refusal))


def _agree(watched: Any, secrets: Any) -> None:
    """Secrets of a namespace that is not looked at are needed by nothing: a right too many, or a name misspelt."""
    lost = sorted(set(secrets or ()) - set(watched)) if watched is not None else []
    if lost:
        message = f"'{lost[0]}': it is not in --watch-namespaces. Add it there, or take it out here."
        raise click.BadParameter(message, param_hint="'--secret-namespaces'")


def _money(settings: dict[str, Any]) -> dict[str, Any]:
    """Rates and limits of the options that say them, which are taken out; a limit that counts nothing is refused."""
    currency, watched = settings.pop("currency"), settings["watch_namespaces"]
    rates = rates_named(settings.pop("worth"), currency)
    limits = limits_named(settings.pop("most"), settings.pop("by_namespace"), currency)
    for limit in limits:
        lost = sorted(limit.namespaces - set(watched or limit.namespaces))
        if lost:
            raise option_refused(
                field="--namespace-max-price-per-hour",
                value=f"{lost[0]}={limit.most_per_hour.amount}",
                reason=f"'{lost[0]}' is not in --watch-namespaces",
                cure="Add it there, or take it out here",
            )
    return {"rates": rates, "limits": limits}


def _share_the_interpreter() -> None:
    """Placement computes in a thread: the event loop must get the interpreter back within a millisecond."""
    sys.setswitchinterval(0.001)
    gc.set_threshold(50_000, 5, 100)


async def _run(settings: OperatorSettings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    # The jitter of back-offs needs no secret randomness.
    surroundings = Surroundings(clock=SystemClock(), random=random.Random(), metrics=Metrics())  # noqa: S311 - see above
    lost: list[BaseException] = []
    try:
        await run_operator(settings, surroundings, stop)
    except* LostLease as group:
        lost.extend(group.exceptions)
        _log.warning("another replica leads now; this process ends and starts anew as a standby")
    return _EXIT_LOST_LEASE if lost else 0
