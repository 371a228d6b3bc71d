"""Requests in, answers out: every verb on its way to the operations, and every refusal as a Status body."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from penstock.cluster.fake import discovery, requests, views
from penstock.cluster.fake.admission import Options
from penstock.cluster.fake.answers import (
    Answer,
    conflict,
    from_the_future,
    not_implemented,
    status_body,
    success,
    too_large,
)
from penstock.cluster.fake.authorizer import Authorizer, authorize
from penstock.cluster.fake.faults import Faults
from penstock.cluster.fake.garbage import Deletion
from penstock.cluster.fake.operations import Operations
from penstock.cluster.fake.paging import Page, Pages
from penstock.cluster.fake.patches import json_patch, merge_patch
from penstock.cluster.fake.registry import Registry
from penstock.cluster.fake.requests import (
    APPLY,
    Target,
    body_of,
    deletion_of,
    number_in,
    options_of,
    target_of,
    verb_of,
)
from penstock.cluster.fake.scaling import scale_of, scaled
from penstock.cluster.fake.selectors import Matcher, matcher
from penstock.cluster.fake.storage import Object, Storage, encoded
from penstock.cluster.fake.traits import traits_of
from penstock.cluster.fake.views import View, view_of
from penstock.cluster.fake.watches import Terms, Watches

__all__ = ["Frontend"]

_LARGEST_BODY = 3 * 2**20
_WATCH_SECONDS = 3600.0
_BOOKMARK_SECONDS = 20.0
_HEALTH = frozenset({"readyz", "livez", "healthz"})
_JSON = "application/json"


@dataclass(slots=True)
class Frontend:
    """The aiohttp application; `requests` counts by verb and plural."""

    storage: Storage
    registry: Registry
    operations: Operations
    watches: Watches
    faults: Faults
    token: str = ""
    authorizer: Authorizer | None = None
    bookmark_seconds: float = _BOOKMARK_SECONDS
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    pages: Pages = field(default_factory=Pages)

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
            return _refusal(too_large(f"limit is {_LARGEST_BODY}"))
        except Answer as answer:
            return _refusal(answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        if parts and parts[0] in _HEALTH:
            return web.Response(text="ok")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Answer(401, "Unauthorized", "Unauthorized")
        known = discovery.document(self.registry, parts)
        if known is not None:
            await self.faults.strike("discovery", "")
            return web.json_response(known)
        target = target_of(self.registry, parts)
        verb = verb_of(request, target)
        self.requests[verb, target.info.plural] += 1
        self._authorize(request, target, verb)
        await self.faults.strike(verb, target.info.plural)
        return await self._do(request, target, verb)

    def _authorize(self, request: web.Request, target: Target, verb: str) -> None:
        """403 where a test says so; an apply that makes the object takes two rights, as on the real one."""
        if self.authorizer is None:
            return
        authorize(self.authorizer, verb, target, request.query.get("fieldSelector", ""))
        place, table = (target.namespace, target.name), self.storage.table(target.info.key)
        makes = request.content_type in APPLY and not target.subresource and place not in table
        if verb == "patch" and makes:
            authorize(self.authorizer, "create", target, "")

    async def _do(self, request: web.Request, target: Target, verb: str) -> web.StreamResponse:
        match verb:
            case "watch":
                return await self._watch(request, target)
            case "list":
                return _json(views.listed(target.info, self._page(request, target), _view(request)))
            case "get":
                return self._shown(request, target, self._read(target))
            case "delete":
                answer = await self._delete(request, target)
            case "deletecollection":
                answer = await self._delete_all(request, target)
            case _:
                live, created = await self._write(request, target)
                answer = self._shown(request, target, live, status=201 if created else 200)
        self.faults.committed(verb)
        return answer

    def _read(self, target: Target) -> Object:
        live = self.operations.find(target.info, target.namespace, target.name)
        return scale_of(target.info, live) if target.subresource == "scale" else live

    async def _write(self, request: web.Request, target: Target) -> tuple[Object, bool]:
        """The object after a create, update or patch; whether it is new."""
        body, options = await body_of(request), options_of(request, target)
        info, place = target.info, (target.namespace, target.name)
        if target.subresource == "scale":
            return self._scale(request, target, body, options), False
        if request.method == "POST":
            return self.operations.create(info, target.namespace, body, options), True
        if request.method == "PUT":
            return self.operations.replace(info, *place, body, options), False
        if request.content_type in APPLY:
            return self.operations.apply(info, *place, body, options)
        live = self.operations.find(info, *place)
        return self.operations.patch(info, *place, _patched(request, live, body, custom=info.custom), options), False

    def _scale(self, request: web.Request, target: Target, body: Any, options: Options) -> Object:
        info, place = target.info, (target.namespace, target.name)
        live = self.operations.find(info, *place)
        current = scale_of(info, live)
        wanted = _patched(request, current, body, custom=info.custom) if request.method == "PATCH" else body
        return scale_of(info, self.operations.patch(info, *place, scaled(info, live, wanted), options))

    async def _delete(self, request: web.Request, target: Target) -> web.Response:
        info, options = target.info, options_of(request, target)
        deletion, preconditions = deletion_of(request, await body_of(request))
        live = self.operations.find(info, target.namespace, target.name)
        for key, words in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            wanted, found = preconditions.get(key), live["metadata"][key]
            if wanted and wanted != found:
                why = f"the {words} in the precondition ({wanted}) does not match the {words} in record ({found})"
                raise conflict(info.kind, info.group, target.name, why)
        after, ended = self.operations.delete(info, target.namespace, target.name, deletion, options)
        if ended and not traits_of(info).shows_deleted:
            return _json(success(info.plural, info.group, target.name, live["metadata"]["uid"]))
        return self._shown(request, target, after)

    async def _delete_all(self, request: web.Request, target: Target) -> web.Response:
        """A collection: one by one, as the real server does it."""
        deletion: Deletion = deletion_of(request, await body_of(request))[0]
        options, page = options_of(request, target), self._page(request, target)
        for live in page.items:
            metadata = live["metadata"]
            self.operations.delete(target.info, metadata.get("namespace", ""), metadata["name"], deletion, options)
        return _json(views.listed(target.info, page, View.WHOLE))

    def _page(self, request: web.Request, target: Target) -> Page:
        limit, token = number_in(request, "limit") or 0, request.query.get("continue", "")
        if request.query.get("resourceVersionMatch") == "Exact":
            message = "lists of an exact version"
            raise not_implemented(message)
        if token:
            return self.pages.further(token, limit)
        wanted = number_in(request, "resourceVersion") or 0
        if wanted > self.storage.version:
            raise from_the_future(wanted, self.storage.version)
        matches = _matcher(request, target)
        rows = sorted(self.storage.table(target.info.key).items())
        inside = [live for (namespace, _), live in rows if not target.namespace or namespace == target.namespace]
        return self.pages.first([live for live in inside if matches(live)], self.storage.version, limit)

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        query = request.query
        if query.get("sendInitialEvents"):
            words = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            raise Answer(422, "Invalid", words)
        version = number_in(request, "resourceVersion") or 0
        seconds = float(number_in(request, "timeoutSeconds") or _WATCH_SECONDS)
        marks = self.bookmark_seconds if query.get("allowWatchBookmarks") in {"true", "1"} else seconds
        terms = Terms(target.info, target.namespace, _matcher(request, target), _view(request) is View.METADATA)
        response = web.StreamResponse(headers={"Content-Type": _JSON})
        try:
            stream = self.watches.open(terms, version)
        except Answer as answer:
            # As the real one: 200, and the refusal as an event.
            await response.prepare(request)
            await response.write(encoded({"type": "ERROR", "object": status_body(answer)}) + b"\n")
            return response
        try:
            await response.prepare(request)
            async for lines in stream.lines(seconds=seconds, bookmark_seconds=marks):
                await response.write(lines)
        except ConnectionResetError:
            return response  # the client went
        finally:
            self.watches.close(stream)
        return response

    def _shown(self, request: web.Request, target: Target, live: Object, *, status: int = 200) -> web.Response:
        if live.get("kind") != target.info.kind:
            return _json(live, status)
        match _view(request):
            case View.TABLE:
                return _json(views.table(target.info, [live], {}), status)
            case View.METADATA:
                return _json(views.partial(live), status)
            case View.WHOLE:
                return web.Response(body=self.storage.encoded(live), status=status, content_type=_JSON)


def _patched(request: web.Request, live: Object, body: Any, *, custom: bool) -> Any:
    match request.content_type:
        case requests.MERGE_PATCH:
            return merge_patch(live, body)
        case requests.JSON_PATCH:
            return json_patch(live, body)
        case requests.STRATEGIC_PATCH if not custom:
            message = "a strategic merge patch"
            raise not_implemented(message)
    raise Answer(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})


def _matcher(request: web.Request, target: Target) -> Matcher:
    query = request.query
    fields = f"metadata.name={target.name}" if target.name else query.get("fieldSelector", "")
    return matcher(target.info, query.get("labelSelector", ""), fields)


def _view(request: web.Request) -> View:
    return view_of(request.headers.get("Accept", ""))


def _json(body: Object, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(body, separators=(",", ":")).encode(), status=status, content_type=_JSON)


def _refusal(answer: Answer) -> web.Response:
    headers = {"Retry-After": str(answer.retry_after)} if answer.retry_after is not None else None
    return web.json_response(status_body(answer), status=answer.code, headers=headers)
