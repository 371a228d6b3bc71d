"""The in-memory API server as a process of its own: `python -m penstock.cluster.fake`."""

import asyncio
import signal
import sys
from pathlib import Path

from penstock.cluster.client import Client
from penstock.cluster.resources import NAMESPACES

_OPERATOR = Path(__file__).parents[3] / "operator"
_PATIENCE_SECONDS = 30.0


async def test_it_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    """It says where, its kubeconfig works, and SIGTERM ends it in order."""
    kubeconfig = tmp_path / "kubeconfig"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock.cluster.fake", "--kubeconfig", str(kubeconfig)),
        env={"PYTHONPATH": str(_OPERATOR)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            assert (await process.stdout.readline()).startswith(b"serving on http://127.0.0.1:")
            async with await Client.connect(kubeconfig=str(kubeconfig)) as client:
                names = {item["metadata"]["name"] for item in (await client.list(NAMESPACES)).items}
                assert "default" in names
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
