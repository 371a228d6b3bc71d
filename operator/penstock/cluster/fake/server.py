"""The in-memory API server as tests and the demo use it: started, asked from within, made to fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from penstock.cluster.fake.answers import Answer
from penstock.cluster.fake.faults import Faults
from penstock.cluster.fake.http import Frontend
from penstock.cluster.fake.operations import Operations, Options
from penstock.cluster.fake.registry import KindInfo, Registry
from penstock.cluster.fake.storage import Change, Storage
from penstock.cluster.fake.watches import Watches

__all__ = ["LIMITS", "FakeAPIServer"]

Object = dict[str, Any]

LIMITS = (
    "CEL rules (x-kubernetes-validations) are not evaluated; structural schemas are",
    "built-in kinds are not validated, and quantities are stored as they are written",
    "no authentication, authorisation, admission or TLS",
    "strategic merge patches, collections of deletes, subresources but status and scale: 501",
    "initial events of a watch (sendInitialEvents): 422, as without the feature gate",
    "deleting in the foreground deletes the children at once",
)

_MANAGER = Options(manager="in-process")
_NAMESPACES = ("default", "kube-system")


class FakeAPIServer:
    """One API server on loopback. `async with` starts and stops it.

    `objects`, `get`, `put`, `update`, `delete` and `subscribe` work from within the process, without HTTP and without faults.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.faults = Faults()
        self._host = host
        self._port = port
        self._storage = Storage()
        self._registry = Registry()
        self._watches = Watches(self._storage, self.faults)
        self._frontend = Frontend(self._storage, self._registry, self._watches, self.faults)
        self._operations = Operations(self._storage, self._registry)
        self._runner: web.AppRunner | None = None
        for name in _NAMESPACES:
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    async def start(self) -> Self:
        """Listen."""
        self._runner = web.AppRunner(self._frontend.application(), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """End every watch and stop listening."""
        self._watches.cut_all()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._host}:{self._port}"

    @property
    def requests(self) -> dict[tuple[str, str], int]:
        """How many requests came, by verb and plural."""
        return self._frontend.requests

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return len(self._watches)

    @property
    def version(self) -> int:
        """The newest version."""
        return self._storage.version

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that kubectl and clients take."""
        cluster = {"name": "memory", "cluster": {"server": self.url}}
        context = {"name": "memory", "context": {"cluster": "memory", "user": "memory"}}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": "memory", "user": {}}],
            "contexts": [context],
            "current-context": "memory",
        }
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(content, indent=2))
        temporary.replace(path)
        return path

    def objects(self, plural: str, namespace: str | None = None) -> list[Object]:
        """All objects of a kind, in order of their names."""
        rows = sorted(self._storage.table(self._info(plural).key).items())
        return [live for (place, _), live in rows if namespace is None or place == namespace]

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._storage.table(self._info(plural).key).get((namespace, name))

    def put(self, manifest: Object) -> Object:
        """Create it, with its status."""
        info = self._registry.of_kind(manifest["apiVersion"], manifest["kind"])
        if info is None:
            message = f"no kind {manifest['apiVersion']} {manifest['kind']}"
            raise KeyError(message)
        namespace = manifest["metadata"].get("namespace", "default") if info.namespaced else ""
        made = self._operations.create(info, namespace, manifest, _MANAGER)
        if info.kind == "CustomResourceDefinition":
            self._registry.add(made)
        if "status" in manifest and made.get("status") != manifest["status"]:
            return self.update(
                info.plural,
                namespace,
                made["metadata"]["name"],
                lambda live: {**live, "status": manifest["status"]},
                subresource="status",
            )
        return made

    def update(
        self, plural: str, namespace: str, name: str, mutate: Callable[[Object], Object], subresource: str = ""
    ) -> Object:
        """Replace it by what `mutate` makes of it; KeyError where there is none."""
        info = self._info(plural)
        live = self.get(plural, namespace, name)
        if live is None:
            message = f"{plural} {namespace}/{name}"
            raise KeyError(message)
        options = Options(manager=_MANAGER.manager, subresource=subresource if info.status else "")
        return self._operations.patch(info, namespace, name, mutate(live), options)

    def delete(self, plural: str, namespace: str, name: str, *, grace: int | None = None) -> None:
        """Delete it as a client would; one that is gone is as good."""
        body: Object = {} if grace is None else {"gracePeriodSeconds": grace}
        try:
            self._operations.delete(self._info(plural), namespace, name, body, dry_run=False)
        except Answer as answer:
            if answer.reason != "NotFound":
                raise

    def subscribe(self, listener: Callable[[str, Object, Object | None], None]) -> Callable[[], None]:
        """Call `listener(type, object, before)` after every commit; returns what ends that."""

        def heard(change: Change) -> None:
            listener(change.type, change.object, change.before)

        return self._storage.listen(heard)

    def compact(self) -> None:
        """Whoever resumes from an older version gets 410, and so do lists that were begun."""
        self._storage.compact()
        self._frontend.forget_pages()

    def cut_watches(self, *, middle: bool = False) -> None:
        """End every watch now; within a line if wanted."""
        self._watches.cut_all(middle=middle)

    def reuse_name(self, plural: str, namespace: str, name: str) -> Object:
        """Delete an object and make it anew under another uid, at once."""
        live = self.get(plural, namespace, name)
        if live is None:
            message = f"{plural} {namespace}/{name}"
            raise KeyError(message)
        self.delete(plural, namespace, name, grace=0)
        return self.put({key: value for key, value in live.items() if key != "status"})

    def set_bookmarks(self, seconds: float) -> None:
        """How often an idle watch gets a bookmark."""
        self._frontend.bookmark_seconds = seconds

    def _info(self, plural: str) -> KindInfo:
        found = next((info for info in self._registry.all() if info.plural == plural), None)
        if found is None:
            raise KeyError(plural)
        return found
