"""`penstock demo`: the main job on a simulated cluster, told live, every claim checked."""

import asyncio
import contextlib
import random
import signal
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from penstock.cli.demo_stage import Stage, StoryBroken, stage
from penstock.cli.demo_story import tell

__all__ = ["demo"]

_SAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "samples"
_WIDTH = 118


@click.command()
@click.option("--keep", is_flag=True, help="Leave it up at the end and say how to look.")
@click.option("--speed", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Of loading and draining.")
@click.option(
    "--samples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=_SAMPLES,
    help="Where manifests/samples is; the checkout's own by default.",
)
def demo(*, keep: bool, speed: float, samples: Path) -> None:
    """Watch models being placed on the GPUs that fit, served, moved and refused; exit code 1 where a claim fails."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False, soft_wrap=False)
    sys.exit(asyncio.run(_run(console, samples, speed=speed, keep=keep)))


async def _run(console: Console, samples: Path, *, speed: float, keep: bool) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, lambda: task.cancel() if task else None)
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as folder:
        try:
            # Names and addresses need no secret randomness.
            chance = random.Random()  # noqa: S311 - see above
            async with stage(console, Path(folder), speed=speed, random=chance) as scene:
                await tell(scene, samples)
                if keep:
                    await _leave_up(scene)
        except StoryBroken as broken:
            console.print(f"\n[bold red]✗ {broken}[/]")
            return 1
        except asyncio.CancelledError:
            console.print("\ninterrupted; everything is stopped")
            return 130
    return 0


async def _leave_up(scene: Stage) -> None:
    console = scene.console
    console.print("\n[bold]It stays up.[/] In another terminal:")
    console.print(f"  export KUBECONFIG={scene.kubeconfig}")
    for line in (
        "kubectl get md -A",
        "kubectl get gpupool",
        "kubectl get md llama-70b -n assistants -o yaml",
        "kubectl get events -A",
        "kubectl apply --server-side -f manifests/samples/07-air-gapped.yaml",
    ):
        console.print(f"  {line}")
    for namespace, name in scene.served():
        console.print(f"  {namespace}/{name} answers at {scene.cluster.service_url(namespace, name)}/v1")
    console.print("Ctrl-C ends it.")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    console.print("stopped")
