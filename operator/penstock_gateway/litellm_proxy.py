"""LiteLLM's own application, for every path that the edge does not own; imported when the first such request comes."""

import asyncio
import importlib
import os
from collections.abc import Callable
from pathlib import Path

from penstock_gateway.asgi import Application, Message, Receive, Scope, Send

__all__ = ["LiteLLMProxy"]


class LiteLLMProxy:
    """An ASGI application; `load` gives LiteLLM's, and runs in a thread because it takes seconds.

    LiteLLM reads its configuration when its lifespan starts, so that is started here and lasts as long as the process.
    """

    def __init__(self, config: Path, load: Callable[[], Application] | None = None) -> None:
        self._config = config
        self._load = load or self._import
        self._application: Application | None = None
        self._starting = asyncio.Lock()
        self._life: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        async with self._starting:
            if self._application is None:
                application = await asyncio.to_thread(self._load)
                await self._start(application)
                self._application = application
        await self._application(scope, receive, send)

    async def close(self) -> None:
        """End its lifespan."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    async def _start(self, application: Application) -> None:
        started, told = asyncio.Event(), iter([{"type": "lifespan.startup"}])

        async def receive() -> Message:
            for message in told:
                return message
            never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            return await never

        async def send(_: Message) -> None:
            started.set()

        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        life = self._life = asyncio.ensure_future(_living(application, scope, receive, send))
        # An application without a lifespan ends here at once, and serves all the same.
        life.add_done_callback(lambda _: started.set())
        await started.wait()

    def _import(self) -> Application:
        os.environ.setdefault("CONFIG_FILE_PATH", str(self._config))
        module = importlib.import_module("litellm.proxy.proxy_server")
        application: Application = module.app
        return application


async def _living(application: Application, scope: Scope, receive: Receive, send: Send) -> None:
    await application(scope, receive, send)
