"""The Kubernetes API, through one small door.

Objects are plain dictionaries. Every status code is checked and becomes a typed error. What may pass by itself
(429, 5xx, a broken connection) is tried again within a deadline. `requests` counts what was sent.
"""

import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from penstock.cluster.paths import called, path_of
from penstock.cluster.resources import ResourceType, resource_of
from penstock.cluster.retry import RetryPolicy
from penstock.cluster.transport import Login, Observe, Request, Transport
from penstock.cluster.wire import Object, Page, PatchType, WatchEvent, read_event, read_page
from penstock.workqueue.clock import Clock, SystemClock

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

__all__ = ["Client", "Page", "PatchType", "WatchEvent"]

_READING_VERBS = frozenset({"get", "list", "watch", "raw"})
_ANYTHING = ResourceType("", "", "raw", "Raw")


class Client:
    """One connection pool to one API server. `async with` closes it."""

    def __init__(
        self,
        api: "ApiClient",
        *,
        field_manager: str = "penstock",
        random: Random | None = None,
        clock: Clock | None = None,
        login: Login | None = None,
    ) -> None:
        self._api = api
        self._field_manager = field_manager
        retry = RetryPolicy(clock or SystemClock(), random or Random())  # noqa: S311 - jitter is no secret
        self._transport = Transport(api, retry, login)

    @classmethod
    async def connect(
        cls,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        connections: int = 64,
        field_manager: str = "penstock",
        random: Random | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """From a kubeconfig, or from inside the cluster; no request is made. ClusterError where neither can be read.

        `context` is one of the kubeconfig's; None: its current one.
        """
        # Its import takes a third of a second, and commands that ask no cluster shall not wait for it.
        from penstock.cluster.credentials import open_api  # noqa: PLC0415

        api, login = await open_api(kubeconfig, context, connections=connections)
        return cls(api, field_manager=field_manager, random=random, clock=clock, login=login)

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self._api.configuration.host)

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """What was sent, attempts included, by verb and plural: `("patch", "services")`."""
        return self._transport.requests

    @property
    def writes(self) -> int:
        """How many requests were sent that could change something."""
        return sum(count for (verb, _), count in self.requests.items() if verb not in _READING_VERBS)

    @property
    def observe(self) -> Observe:
        """Called with the method and the status of every answer; status 0 where none came."""
        return self._transport.observe

    @observe.setter
    def observe(self, observe: Observe) -> None:
        self._transport.observe = observe

    async def get(self, kind: ResourceType, name: str, namespace: str | None = None) -> Object:
        """One object; NotFound where there is none."""
        what = f"getting {called(kind, namespace, name)}"
        return await self._transport.send(Request("get", "GET", kind, path_of(kind, namespace, name), what))

    async def list(
        self,
        kind: ResourceType,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
        continue_token: str = "",
    ) -> Page:
        """One page; a limit of 0 means everything at once."""
        query = _given(
            limit=str(limit) if limit else "",
            labelSelector=labels,
            fieldSelector=fields,
            **{"continue": continue_token},
        )
        what = f"listing {kind}{_inside(namespace)}"
        request = Request("list", "GET", kind, path_of(kind, namespace), what, query)
        return read_page(await self._transport.send(request), kind, what)

    async def pages(
        self, kind: ResourceType, namespace: str | None = None, *, labels: str = "", fields: str = "", limit: int = 500
    ) -> AsyncGenerator[Page, None]:
        """All pages, one after the other; Gone where the list took too long."""
        token = ""
        while True:
            page = await self.list(kind, namespace, labels=labels, fields=fields, limit=limit, continue_token=token)
            yield page
            token = page.continue_token
            if not token:
                return

    async def watch(
        self,
        kind: ResourceType,
        *,
        resource_version: str,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        inactivity: float = 70,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events from that version on; ends when the server closes; Gone, or Unavailable after `inactivity` seconds.

        Whoever leaves it before its end closes it (`contextlib.aclosing`), or the connection stays taken.
        """
        query = _given(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=labels,
            fieldSelector=fields,
        )
        what = f"watching {kind}{_inside(namespace)}"
        request = Request("watch", "GET", kind, path_of(kind, namespace), what, query)
        async with contextlib.aclosing(self._transport.stream(request, inactivity=inactivity)) as lines:
            async for line in lines:
                yield read_event(line, request.what)

    async def create(self, manifest: Object) -> Object:
        """A new object; AlreadyExists where the name is taken."""
        return await self._write("create", "POST", manifest)

    async def replace(self, manifest: Object, *, subresource: str = "") -> Object:
        """The whole object; Conflict where its resourceVersion is not the newest."""
        return await self._write("update", "PUT", manifest, subresource)

    async def apply(
        self,
        manifest: Object,
        *,
        force: bool = True,
        subresource: str = "",
        dry_run: bool = False,
        strict: bool = False,
        field_manager: str = "",
    ) -> Object:
        """Server-side apply: our fields and no others; `strict` refuses fields that the server does not know.

        `field_manager` is another than the client's own, for a field of an object that somebody else may apply.
        """
        kind, namespace, name = _place(manifest)
        query = _given(
            fieldManager=field_manager or self._field_manager,
            force=str(force).lower(),
            dryRun="All" if dry_run else "",
            fieldValidation="Strict" if strict else "",
        )
        path = path_of(kind, namespace, name, subresource)
        what = f"applying {called(kind, namespace, name)}"
        return await self._transport.send(Request("patch", "PATCH", kind, path, what, query, manifest, PatchType.APPLY))

    async def patch(
        self,
        kind: ResourceType,
        name: str,
        namespace: str | None,
        body: Any,
        *,
        content_type: PatchType,
        subresource: str = "",
    ) -> Object:
        """A merge or JSON patch."""
        path = path_of(kind, namespace, name, subresource)
        what = f"patching {called(kind, namespace, name)}"
        query = _given(fieldManager=self._field_manager)
        return await self._transport.send(Request("patch", "PATCH", kind, path, what, query, body, content_type))

    async def delete(
        self,
        kind: ResourceType,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> None:
        """That very object, where a uid or a version is given; NotFound where there is none."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        given = {key: value for key, value in preconditions.items() if value}
        if given:
            body["preconditions"] = given
        path = path_of(kind, namespace, name)
        what = f"deleting {called(kind, namespace, name)}"
        await self._transport.send(Request("delete", "DELETE", kind, path, what, body=body))

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Any request, once, its status unchecked: for contract tests."""
        given = tuple((query or {}).items())
        request = Request("raw", method, _ANYTHING, path, f"{method} {path}", given, body)
        return await self._transport.raw(request, dict(headers or {}))

    def new_session(self, connections: int = 32) -> aiohttp.ClientSession:
        """A bounded session with our credentials, for kopf's own watches; a token is read anew for each request."""
        configuration = self._api.configuration
        context: ssl.SSLContext = self._api.rest_client.ssl_context

        async def authorize(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            token = await configuration.get_api_key_with_prefix("BearerToken")
            if token:
                request.headers["Authorization"] = token
            return await handler(request)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=context),
            middlewares=(authorize,),
            read_bufsize=2**21,
            proxy=configuration.proxy,
        )

    async def close(self) -> None:
        """End all connections."""
        await self._api.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _write(self, verb: str, method: str, manifest: Object, subresource: str = "") -> Object:
        """A whole object; a new one is named by its body, not by the path."""
        kind, namespace, name = _place(manifest)
        path = path_of(kind, namespace) if verb == "create" else path_of(kind, namespace, name, subresource)
        what = f"{verb.removesuffix('e')}ing {called(kind, namespace, name)}"
        query = _given(fieldManager=self._field_manager)
        return await self._transport.send(Request(verb, method, kind, path, what, query, manifest))


def _inside(namespace: str | None) -> str:
    return f" in {namespace}" if namespace else ""


def _given(**query: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in query.items() if value)


def _place(manifest: Object) -> tuple[ResourceType, str | None, str]:
    metadata = manifest["metadata"]
    return resource_of(manifest), metadata.get("namespace"), metadata.get("name", "")
