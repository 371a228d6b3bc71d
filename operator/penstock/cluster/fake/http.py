"""Requests in, answers out: which kind and verb a request is, and what the bodies look like."""

import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from penstock.cluster.fake import views
from penstock.cluster.fake.answers import Answer, gone, not_implemented, status_body
from penstock.cluster.fake.faults import Faults
from penstock.cluster.fake.operations import Operations, Options
from penstock.cluster.fake.patches import json_patch, merge_patch
from penstock.cluster.fake.registry import KindInfo, Registry
from penstock.cluster.fake.scaling import scale_of, scaled
from penstock.cluster.fake.selectors import matcher
from penstock.cluster.fake.storage import Storage
from penstock.cluster.fake.watches import Watches

__all__ = ["Frontend"]

Object = dict[str, Any]

_SUBRESOURCES = frozenset({"status", "scale"})
_MERGE = "application/merge-patch+json"
_JSON = "application/json-patch+json"
_APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")
_LARGEST_BODY = 3 * 2**20
_WATCH_SECONDS = 3600.0
_BOOKMARK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names."""

    info: KindInfo
    namespace: str
    name: str
    subresource: str


class Frontend:
    """The aiohttp application; `requests` counts by verb and plural elsewhere."""

    def __init__(self, storage: Storage, registry: Registry, watches: Watches, faults: Faults) -> None:
        self._storage = storage
        self._registry = registry
        self._watches = watches
        self._faults = faults
        self._operations = Operations(storage, registry)
        self.requests: dict[tuple[str, str], int] = {}
        self._pages: dict[str, tuple[int, list[Object]]] = {}
        self.bookmark_seconds = _BOOKMARK_SECONDS

    def application(self) -> web.Application:
        """Every path goes through `handle`."""
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request; every refusal becomes a Status body."""
        try:
            return await self._answer(request)
        except ConnectionAbortedError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(Answer(413, "RequestEntityTooLarge", "the request is too large"))
        except Answer as answer:
            return _refusal(answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        known = self._document(parts)
        if known is not None:
            await self._faults.strike("discovery", "")
            return web.json_response(known)
        target = self._target(parts)
        verb = _verb(request, target)
        key = (verb, target.info.plural)
        self.requests[key] = self.requests.get(key, 0) + 1
        await self._faults.strike(verb, target.info.plural)
        if verb == "watch":
            return await self._watch(request, target)
        if verb == "list":
            return self._list(request, target)
        if verb == "deletecollection":
            raise not_implemented("deleting a collection")
        return _json(request, target.info, await self._one(request, target, verb), created=verb == "create")

    def _document(self, parts: list[str]) -> Object | None:
        """Discovery, version, health."""
        match parts:
            case ["version"]:
                return {"major": "1", "minor": "36", "gitVersion": "v1.36.0+penstock-in-memory", "platform": "memory"}
            case ["readyz"] | ["livez"] | ["healthz"]:
                return {"status": "ok"}
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["apis"]:
                return views.api_groups(self._registry)
            case ["api", version]:
                return views.api_resources(self._registry, "", version)
            case ["apis", group, version]:
                return views.api_resources(self._registry, group, version)
            case ["openapi", "v3"]:
                return views.openapi_index(self._registry)
            case ["openapi", "v3", "api", version]:
                return views.openapi_paths(self._registry, "", version)
            case ["openapi", "v3", "apis", group, version]:
                return views.openapi_paths(self._registry, group, version)
        return None

    def _target(self, parts: list[str]) -> Target:
        match parts:
            case ["api", version, *rest]:
                group = ""
            case ["apis", group, version, *rest]:
                pass
            case _:
                raise Answer(404, "NotFound", "the server could not find the requested resource")
        namespace = ""
        if len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in _SUBRESOURCES | {"finalize"}:
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = (*rest, "", "", "")[:3]
        info = self._registry.get(group, plural)
        if info is None or info.version != version:
            raise Answer(404, "NotFound", "the server could not find the requested resource")
        if subresource and subresource not in _SUBRESOURCES:
            raise not_implemented(f"the subresource {subresource} of {plural}")
        if (subresource == "status" and not info.status) or (subresource == "scale" and info.scale is None):
            raise Answer(404, "NotFound", "the server could not find the requested resource")
        return Target(info, namespace, name, subresource)

    async def _one(self, request: web.Request, target: Target, verb: str) -> Object:
        info, operations = target.info, self._operations
        if verb == "get":
            live = operations.find(info, target.namespace, target.name)
            return scale_of(info, live) if target.subresource == "scale" else live
        body = await _body(request)
        options = _options(request, target)
        if target.subresource == "scale":
            return await self._scale(request, target, body, options)
        match verb:
            case "create":
                made = operations.create(info, target.namespace, body, options)
            case "update":
                made = operations.replace(info, target.namespace, target.name, body, options)
            case "patch":
                made = self._patch(request, target, body, options)
            case _:
                made = operations.delete(info, target.namespace, target.name, body or {}, dry_run=options.dry_run)
        self._learn(info, made, deleted=verb == "delete")
        return made

    def _patch(self, request: web.Request, target: Target, body: Any, options: Options) -> Object:
        kind, info = request.content_type, target.info
        if kind in _APPLY:
            if "fieldManager" not in request.query:
                raise Answer(400, "BadRequest", "fieldManager is required for apply patch")
            return self._operations.apply(info, target.namespace, target.name, body, options)
        live = self._operations.find(info, target.namespace, target.name)
        if kind == _MERGE:
            after = merge_patch(live, body)
        elif kind == _JSON:
            after = json_patch(live, body)
        else:
            raise not_implemented(f"a patch of type {kind}")
        return self._operations.patch(info, target.namespace, target.name, after, options)

    async def _scale(self, request: web.Request, target: Target, body: Any, options: Options) -> Object:
        info = target.info
        live = self._operations.find(info, target.namespace, target.name)
        wanted = scaled(info, live, body, request.content_type if request.method == "PATCH" else "")
        plain = Options(options.manager, options.force, options.dry_run, options.strict)
        after = self._operations.patch(info, target.namespace, target.name, wanted, plain)
        return scale_of(info, after)

    def _learn(self, info: KindInfo, made: Object, *, deleted: bool) -> None:
        """A CRD changes what is served; deleting it takes its objects along."""
        if info.kind != "CustomResourceDefinition":
            return
        if not deleted:
            self._registry.add(made)
            return
        gone_kind = self._registry.remove(made)
        if gone_kind is not None:
            for live in tuple(self._storage.table(gone_kind.key).values()):
                self._storage.delete(gone_kind.key, live)

    def _list(self, request: web.Request, target: Target) -> web.Response:
        info, query = target.info, request.query
        token, limit = query.get("continue", ""), int(query.get("limit") or 0)
        if token:
            if token not in self._pages:
                raise gone("The provided continue parameter is too old to display a consistent list result.")
            version, items = self._pages.pop(token)
        else:
            version, items = self._storage.version, self._matching(request, target)
        rest = items[limit:] if limit else []
        shown = items[:limit] if limit else items
        following = f"{version}-{len(rest)}-{id(rest)}" if rest else ""
        if rest:
            self._pages[following] = (version, rest)
        if "as=Table" in request.headers.get("Accept", ""):
            return web.json_response(views.table(info, shown, version))
        return web.json_response(views.listed(info, shown, version, following, len(rest)))

    def forget_pages(self) -> None:
        """Lists that were begun cannot be gone on with: 410."""
        self._pages.clear()

    def _matching(self, request: web.Request, target: Target) -> list[Object]:
        query = request.query
        matches = matcher(target.info, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        rows = sorted(self._storage.table(target.info.key).items())
        inside = [live for (namespace, _), live in rows if not target.namespace or namespace == target.namespace]
        return [live for live in inside if matches(live)]

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        query = request.query
        if query.get("sendInitialEvents"):
            raise Answer(
                422, "Invalid", "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            )
        fields = query.get("fieldSelector", "")
        if target.name:
            fields = f"metadata.name={target.name}"
        matches = matcher(target.info, query.get("labelSelector", ""), fields)
        try:
            stream = self._watches.open(target.info, target.namespace, matches, query.get("resourceVersion", ""))
        except Answer as answer:
            if answer.code != 410:
                raise
            return await self._gone(request, answer)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        seconds = float(query.get("timeoutSeconds") or _WATCH_SECONDS)
        try:
            async for line in stream.lines(self._storage, seconds=seconds, bookmark_seconds=self.bookmark_seconds):
                await response.write(line)
        except ConnectionResetError:
            return response  # the client went
        finally:
            self._watches.close(stream)
        return response

    async def _gone(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """As the real one: 200, and the refusal as an ERROR event."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(json.dumps({"type": "ERROR", "object": status_body(answer)}).encode() + b"\n")
        return response


def _verb(request: web.Request, target: Target) -> str:
    named = bool(target.name)
    if request.method == "GET":
        if request.query.get("watch") in {"true", "1"}:
            return "watch"
        return "get" if named else "list"
    verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete" if named else "deletecollection"}
    if request.method not in verbs:
        raise Answer(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    return verbs[request.method]


async def _body(request: web.Request) -> Any:
    raw = await request.read()
    if not raw:
        return {}
    try:
        return json.loads(raw)
    except ValueError:
        return _yaml(raw)


def _yaml(raw: bytes) -> Any:
    import yaml  # noqa: PLC0415 - only kubectl sends YAML, and the import is slow

    try:
        return yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise Answer(400, "BadRequest", f"the body cannot be read: {error}") from error


def _options(request: web.Request, target: Target) -> Options:
    query = request.query
    agent = request.headers.get("User-Agent", "unknown").split("/")[0]
    return Options(
        manager=query.get("fieldManager") or agent,
        force=query.get("force") == "true",
        dry_run=query.get("dryRun") == "All",
        strict=query.get("fieldValidation") == "Strict",
        subresource=target.subresource,
    )


def _json(request: web.Request, info: KindInfo, live: Object, *, created: bool) -> web.Response:
    if "as=Table" in request.headers.get("Accept", "") and live.get("kind") == info.kind:
        return web.json_response(views.table(info, [live], int(live["metadata"]["resourceVersion"])))
    return web.json_response(live, status=201 if created else 200)


def _refusal(answer: Answer) -> web.Response:
    headers = {"Retry-After": str(answer.retry_after)} if answer.retry_after is not None else None
    return web.json_response(status_body(answer), status=answer.code, headers=headers)
