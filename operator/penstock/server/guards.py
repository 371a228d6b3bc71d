"""Who calls: each route names what it is about, and nobody gets past without a token for that."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.security import HTTPBearer

from penstock.server.access import Access, GatewayName, Subresource, Verb
from penstock.server.parts import Parts, parts_of
from penstock.server.problems import Problem
from penstock.server.tokens import PREFIX

__all__ = ["named", "operator_or_person", "own_gateway", "own_gateway_or_person"]

_NAMESPACE = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"

# Only to say in the OpenAPI document that tokens are asked for; the guards read them.
_documented = HTTPBearer(auto_error=False, description="A gateway's token, the operator's, or one of Kubernetes.")
Guard = Callable[..., Awaitable[GatewayName]]


def named(
    namespace: Annotated[str, Path(pattern=_NAMESPACE)], name: Annotated[str, Path(pattern=_NAME)]
) -> GatewayName:
    """The gateway in the path."""
    return GatewayName(namespace, name)


def operator_or_person(verb: Verb, subresource: Subresource) -> Guard:
    """Whoever Kubernetes, or the token file, lets do that."""

    async def guard(
        request: Request, gateway: Annotated[GatewayName, Depends(named)], _: Annotated[object, Depends(_documented)]
    ) -> GatewayName:
        await _insist(parts_of(request), _bearer(request), Access(verb, subresource, gateway))
        return gateway

    return guard


def own_gateway() -> Guard:
    """A replica of that very gateway."""

    async def guard(
        request: Request, gateway: Annotated[GatewayName, Depends(named)], _: Annotated[object, Depends(_documented)]
    ) -> GatewayName:
        await _insist_on_gateway(parts_of(request), _bearer(request), gateway)
        return gateway

    return guard


def own_gateway_or_person(verb: Verb, subresource: Subresource) -> Guard:
    """A replica of that very gateway, or whoever may do that."""

    async def guard(
        request: Request, gateway: Annotated[GatewayName, Depends(named)], _: Annotated[object, Depends(_documented)]
    ) -> GatewayName:
        parts, token = parts_of(request), _bearer(request)
        if token.startswith(PREFIX):
            await _insist_on_gateway(parts, token, gateway)
        else:
            await _insist(parts, token, Access(verb, subresource, gateway))
        return gateway

    return guard


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or not token.isascii():
        cure = "send the header Authorization: Bearer <token>"
        raise Problem(401, "Unauthenticated", "the request carries no bearer token", field="Authorization", cure=cure)
    return token


async def _insist(parts: Parts, token: str, access: Access) -> None:
    if token.startswith(PREFIX):
        message = "a gateway's token may only read its own table and report its own replicas"
        raise Problem(403, "Forbidden", message, cure="use the operator's token, or your own of Kubernetes")
    verdict = await parts.authenticator.judge(token, access)
    if not verdict.user:
        raise Problem(401, "Unauthenticated", "the token is nobody's, or has run out", cure="get a new one")
    if not verdict.allowed:
        cure = f"have a role that grants {access.verb} on inferencegateways.penstock.dev/{access.subresource}"
        raise Problem(403, "Forbidden", f"you may not {access}", cure=cure)


async def _insist_on_gateway(parts: Parts, token: str, gateway: GatewayName) -> None:
    if not token.startswith(PREFIX) or not await parts.tokens.owns(gateway, token):
        cure = "read the token anew from its Secret; the operator makes another one by POST .../tokens"
        raise Problem(401, "Unauthenticated", f"the token is not a live one of gateway {gateway}", cure=cure)
