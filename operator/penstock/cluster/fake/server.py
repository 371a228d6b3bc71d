"""The in-memory API server as tests and the demo use it: started, asked from within, made to fail."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Self

from aiohttp import web

from penstock.cluster.fake.admission import Options
from penstock.cluster.fake.answers import Answer
from penstock.cluster.fake.authorizer import Authorizer
from penstock.cluster.fake.faults import Faults
from penstock.cluster.fake.garbage import Collector, Deletion
from penstock.cluster.fake.http import Frontend
from penstock.cluster.fake.operations import Operations
from penstock.cluster.fake.registry import KindInfo, Registry
from penstock.cluster.fake.storage import Change, Storage
from penstock.cluster.fake.watches import Watches

__all__ = ["LIMITS", "FakeAPIServer"]

Object = dict[str, Any]

LIMITS = (
    "CEL rules (x-kubernetes-validations) and string formats are not evaluated; the rest of a structural schema is",
    "the content of built-in kinds is not validated; unknown fields are found in their metadata and at the top only",
    "quantities are stored as they are written; warnings about unknown fields are not sent",
    "a CRD is Established at once and has one served version",
    "no RBAC: all may be done but what `authorizer` refuses; no admission webhooks, no TLS, one bearer token at most",
    "strategic merge patches, lists of an exact version, subresources but status and scale: 501",
    "initial events of a watch (sendInitialEvents): 422, as without the feature gate",
    "garbage collection and the emptying of namespaces happen with the commit that calls for them, not later",
)

_MANAGER = "in-process"
_CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class FakeAPIServer:
    """One API server on loopback. `async with` starts and stops it.

    `objects`, `get`, `put`, `update`, `delete` and `subscribe` work from within the process: no HTTP, no faults.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str = "",
        now: Callable[[], datetime] = _utc_now,
        random: Random | None = None,
    ) -> None:
        self.faults = Faults()
        self._host = host
        self._port = port
        self._token = token
        self._storage = Storage()
        self._registry = Registry()
        self._watches = Watches(self._storage, self.faults)
        self._storage.listen(self._learn)
        chance = random or Random()  # noqa: S311 - names and uids, no secrets
        self._operations = Operations(self._storage, Collector(self._storage, now), now=now, random=chance)
        self._frontend = Frontend(
            self._storage, self._registry, self._operations, self._watches, self.faults, token=token
        )
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
            self._runner = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def authorizer(self) -> Authorizer | None:
        """Says of each request over HTTP whether it may be; None: all may."""
        return self._frontend.authorizer

    @authorizer.setter
    def authorizer(self, authorizer: Authorizer | None) -> None:
        self._frontend.authorizer = authorizer

    @property
    def port(self) -> int:
        """The port, once it listens."""
        return self._port

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._host}:{self._port}"

    @property
    def requests(self) -> Counter[tuple[str, str]]:
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
        user = {"token": self._token} if self._token else {}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "memory", "cluster": {"server": self.url}}],
            "users": [{"name": "memory", "user": user}],
            "contexts": [{"name": "memory", "context": {"cluster": "memory", "user": "memory"}}],
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
        """Create it, with its status; KeyError for an unknown kind, Answer where the server refuses."""
        info = self._registry.of_kind(manifest["apiVersion"], manifest["kind"])
        if info is None:
            message = f"no kind {manifest['apiVersion']} {manifest['kind']}"
            raise KeyError(message)
        namespace = manifest["metadata"].get("namespace", "default") if info.namespaced else ""
        made = self._operations.create(info, namespace, manifest, Options(_MANAGER))
        status = manifest.get("status")
        if status is None or made.get("status") == status or info.key == _CRDS:
            return made
        name = made["metadata"]["name"]
        return self.update(info.plural, namespace, name, lambda live: {**live, "status": status}, subresource="status")

    def update(
        self, plural: str, namespace: str, name: str, mutate: Callable[[Object], Object], subresource: str = ""
    ) -> Object:
        """Replace it by what `mutate` makes of it; KeyError where there is none."""
        info = self._info(plural)
        live = self._existing(plural, namespace, name)
        options = Options(_MANAGER, subresource=subresource if info.status else "")
        return self._operations.patch(info, namespace, name, mutate(live), options)

    def delete(self, plural: str, namespace: str, name: str, *, grace: int | None = None) -> None:
        """Delete it as a client would; one that is gone is as good."""
        try:
            self._operations.delete(self._info(plural), namespace, name, Deletion(grace=grace), Options(_MANAGER))
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
        self._frontend.pages.forget()

    def cut_watches(self, *, middle: bool = False) -> None:
        """End every watch now; within a line if wanted."""
        self._watches.cut_all(middle=middle)

    def reuse_name(self, plural: str, namespace: str, name: str) -> Object:
        """Delete an object and make it anew under another uid, at once."""
        live = self._existing(plural, namespace, name)
        self.delete(plural, namespace, name, grace=0)
        metadata = {key: value for key, value in live["metadata"].items() if key != "resourceVersion"}
        return self.put({key: value for key, value in live.items() if key != "status"} | {"metadata": metadata})

    def set_bookmarks(self, seconds: float) -> None:
        """How often an idle watch gets a bookmark."""
        self._frontend.bookmark_seconds = seconds

    def _existing(self, plural: str, namespace: str, name: str) -> Object:
        live = self.get(plural, namespace, name)
        if live is None:
            message = f"{plural} {namespace}/{name}"
            raise KeyError(message)
        return live

    def _info(self, plural: str) -> KindInfo:
        found = self._registry.by_plural(plural)
        if found is None:
            raise KeyError(plural)
        return found

    def _learn(self, change: Change) -> None:
        """A CRD changes what is served; its objects go with it."""
        if change.kind != _CRDS:
            return
        if change.type != "DELETED":
            self._registry.add(change.object)
            return
        gone = self._registry.remove(change.object)
        if gone is not None:
            for live in tuple(self._storage.table(gone.key).values()):
                self._storage.delete(gone.key, live)
