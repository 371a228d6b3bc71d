"""The ASGI application: the routes, one shape for errors, and a count of requests."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock import __version__
from penstock.server import gateway_routes, health_routes, replica_routes, table_routes
from penstock.server.metrics import ServerMetrics
from penstock.server.parts import Parts
from penstock.server.problems import Problem

__all__ = ["application"]

_REASONS = {404: "NotFound", 405: "MethodNotAllowed"}
_ABOUT = "Routing tables for gateways, and what each replica has applied. Every error has the same shape."


def application(parts: Parts) -> FastAPI:
    """Serve these parts."""
    app = FastAPI(
        title="Penstock control plane",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.parts = parts
    for routes in (table_routes, replica_routes, gateway_routes, health_routes):
        app.include_router(routes.router)
    app.add_exception_handler(Problem, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(_Counted, metrics=parts.metrics)
    return app


class _Counted:
    """Counts each answer under its route's pattern, so that names make no series."""

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if route != "unmatched" else "any"
            self._metrics.requests.labels(method=method, route=route, code=str(status)).inc()


async def _refused(_: Request, problem: Exception) -> JSONResponse:
    return _answer(problem if isinstance(problem, Problem) else Problem(500, "Internal", "something broke"))


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    first: dict[str, Any] = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    # The input is left out: it may be a secret in the wrong place.
    where = first.get("loc") or ("",)
    message = f"{where[-1]}: {first.get('msg', 'is malformed')}"
    return _answer(Problem(422, "Invalid", message, field=str(where[-1])))


async def _unrouted(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    reason = _REASONS.get(status, "BadRequest")
    return _answer(Problem(status, reason, f"{request.method} is not served at this path", cure="see /openapi.json"))


async def _broken(_: Request, __: Exception) -> JSONResponse:
    return _answer(Problem(500, "Internal", "the server broke over this request", cure="see the server's log"))


def _answer(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.body, status_code=problem.status, headers=problem.headers)
