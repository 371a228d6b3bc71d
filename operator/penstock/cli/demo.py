"""`penstock demo`: models placed and served on a simulated cluster, live, every claim checked."""

import asyncio
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random

import click
import yaml

from penstock.errors import PenstockError
from penstock.simulation.story import StorySettings, tell
from penstock.simulation.teller import Teller
from penstock.workqueue.clock import SystemClock

__all__ = ["demo"]

_SAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "samples"
_EXIT_INTERRUPTED = 130


@click.command()
@click.option("--keep", is_flag=True, help="Leave it up at the end, until Ctrl-C.")
@click.option(
    "--speed", type=click.FloatRange(1, 200), default=20.0, show_default=True, help="Simulated over real time."
)
@click.option(
    "--samples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=_SAMPLES if _SAMPLES.is_dir() else None,
    required=not _SAMPLES.is_dir(),
    help="The folder of the samples; a checkout has it.",
)
@click.option(
    "--gateway-python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The gateways' interpreter. Left out: that of `make gateway`, else our own, without LiteLLM.",
)
def demo(*, keep: bool, speed: float, samples: Path, gateway_python: Path | None) -> None:
    """Watch models being placed on the right GPUs, served, and routed to, on real parts but the GPUs."""
    manifests = [
        manifest
        for path in sorted(samples.glob("*.yaml"))
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if manifest
    ]
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as folder:
        settings = StorySettings(
            samples=manifests, folder=Path(folder), speed=speed, keep=keep, gateway_python=gateway_python
        )
        sys.exit(asyncio.run(_run(settings)))


async def _run(settings: StorySettings) -> int:
    """0 where all of it held, 1 where something did not, 130 after Ctrl-C."""
    loop = asyncio.get_running_loop()
    # Names and addresses need no secret randomness.
    story = asyncio.create_task(tell(settings, teller=Teller(), clock=SystemClock(), random=Random()))  # noqa: S311
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, story.cancel)
    with suppress(asyncio.CancelledError):
        try:
            await story
        except PenstockError as failed:
            click.echo(f"demo: {failed}", err=True)
            return 1
        return 0
    return 0 if settings.keep else _EXIT_INTERRUPTED
