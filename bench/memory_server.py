"""The in-memory API server as a process of its own."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

__all__ = ["memory_server"]

_START_SECONDS = 30


@contextlib.asynccontextmanager
async def memory_server(folder: Path) -> AsyncIterator[Path]:
    """Start it and hand out its kubeconfig; it is stopped by its id."""
    kubeconfig = folder / "kubeconfig"
    with (folder / "apiserver.log").open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "penstock.cluster.fake", "--kubeconfig", str(kubeconfig), stdout=sink, stderr=sink
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not kubeconfig.exists():
                    await asyncio.sleep(0.05)
            yield kubeconfig
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(process.wait(), 30)
