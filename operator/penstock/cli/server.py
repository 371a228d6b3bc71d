"""`penstock server`: what gateways pull their tables from and report to, until SIGTERM."""

import asyncio
import signal
from pathlib import Path

import click

from penstock.cli.logs import log_to_stderr
from penstock.errors import PenstockError
from penstock.server.process import ServerSettings, run_server
from penstock.workqueue.clock import SystemClock

__all__ = ["server"]

_NOISY = ("uvicorn", "asyncio", "alembic", "sqlalchemy", "aiosqlite")


@click.command()
@click.option("--host", default="0.0.0.0", show_default=True, help="Where gateways and the operator reach it.")  # noqa: S104 - they come from other nodes
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="Probes and metrics too.")
@click.option(
    "--database-url",
    envvar="PENSTOCK_DATABASE_URL",
    required=True,
    help="sqlite:////path/to/file.db for one server, postgresql://user:password@host/name for more.",
)
@click.option(
    "--operator-token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Outside a cluster: one token per line that may do everything; Kubernetes is not asked then.",
)
@click.option("--kubeconfig", type=click.Path(dir_okay=False), envvar="KUBECONFIG", help="Left out: in-cluster.")
@click.option(
    "--replica-seconds",
    type=click.FloatRange(1, 3600),
    default=15.0,
    show_default=True,
    help="A replica that is silent for longer is not live.",
)
@click.option(
    "--tls-cert-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The server's certificate in PEM, with what is between it and its authority; left out: plain HTTP.",
)
@click.option(
    "--tls-key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Its key in PEM. Both are loaded anew when they change.",
)
@click.option("--log-format", type=click.Choice(["json", "text"]), default="json", show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), default="info", show_default=True)
def server(*, log_format: str, log_level: str, **settings: object) -> None:
    """Run the control-plane server: tables out, acknowledgements in."""
    log_to_stderr(log_format, log_level, noisy=_NOISY)
    failed: list[str] = []
    try:
        asyncio.run(_run(ServerSettings(**settings)))  # type: ignore[arg-type] # click converts
    except* PenstockError as group:
        failed.extend(str(error) for error in _leaves(group))
    if failed:
        raise click.ClickException("; ".join(failed))


async def _run(settings: ServerSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await run_server(settings, SystemClock(), stop)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
