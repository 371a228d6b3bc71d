"""A model hub on loopback with one repository; counts what it is asked."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

__all__ = ["LocalHub", "local_hub"]

_COMMIT = "6f6073b423013f6a7d4d9f39144961bfbfbc386b"
_CONFIG = Path(__file__).parents[1] / "cli" / "qwen3-8b-config.json"
_INDEX = "model.safetensors.index.json"
_SHARD = "model-00001-of-00001.safetensors"
_WEIGHTS_BYTES = 16_381_470_720


@dataclass(slots=True)
class LocalHub:
    """`url` is its address, `asked` every path in order."""

    model: str
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """The repository's description or one of its files; 404 for all else."""
        self.asked.append(request.path)
        files = {
            f"/api/models/{self.model}/revision/main": {
                "sha": _COMMIT,
                "siblings": [
                    {"rfilename": "config.json", "size": 700},
                    {"rfilename": _INDEX, "size": 100},
                    {"rfilename": _SHARD, "size": _WEIGHTS_BYTES},
                ],
            },
            f"/{self.model}/resolve/{_COMMIT}/config.json": json.loads(_CONFIG.read_text()),
            f"/{self.model}/resolve/{_COMMIT}/{_INDEX}": {
                "metadata": {"total_size": _WEIGHTS_BYTES},
                "weight_map": {"lm_head.weight": _SHARD},
            },
        }
        if request.path not in files:
            raise web.HTTPNotFound
        return web.json_response(files[request.path])


@asynccontextmanager
async def local_hub(model: str) -> AsyncIterator[LocalHub]:
    """Listens as long as the block runs."""
    hub = LocalHub(model)
    application = web.Application()
    application.router.add_get("/{path:.*}", hub.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    hub.url = f"http://{host}:{port}"
    try:
        yield hub
    finally:
        await runner.cleanup()
