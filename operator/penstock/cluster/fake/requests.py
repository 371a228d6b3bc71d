"""Requests read: which kind, object and verb a path names, what the query asks for, what the body holds."""

import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from penstock.cluster.fake.admission import Options, Strictness
from penstock.cluster.fake.answers import Answer, Blame, Cause, bad_request, invalid, not_implemented, unknown_path
from penstock.cluster.fake.garbage import Deletion, Propagation
from penstock.cluster.fake.registry import KindInfo, Registry
from penstock.cluster.fake.storage import Object

__all__ = [
    "APPLY",
    "JSON_PATCH",
    "MERGE_PATCH",
    "STRATEGIC_PATCH",
    "Target",
    "body_of",
    "deletion_of",
    "number_in",
    "options_of",
    "target_of",
    "verb_of",
]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")

_SUBRESOURCES = frozenset({"status", "scale"})
_UNSERVED = frozenset({"binding", "eviction", "exec", "attach", "log", "portforward", "proxy", "token", "finalize"})
_NAMED = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_UNNAMED = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_META = "meta.k8s.io"


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names; an empty name means the whole collection."""

    info: KindInfo
    namespace: str
    name: str
    subresource: str


def target_of(registry: Registry, parts: list[str]) -> Target:
    """The kind and object; 404, or 501 for a subresource that only the real server has."""
    match parts:
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            raise unknown_path()
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and registry.get(group, rest[2]) is not None:  # noqa: PLR2004 - namespaces/NAME/PLURAL
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *more = (*rest, "", "", "")
    info = registry.get(group, plural)
    if info is None or info.version != version or any(more) or (namespace and not info.namespaced):
        raise unknown_path()
    if subresource in _UNSERVED:
        message = f"the subresource {subresource} of {plural}"
        raise not_implemented(message)
    if subresource and not _has(info, subresource):
        raise unknown_path()
    return Target(info, namespace, name, subresource)


def _has(info: KindInfo, subresource: str) -> bool:
    return (subresource == "status" and info.status) or (subresource == "scale" and info.scale is not None)


def verb_of(request: web.Request, target: Target) -> str:
    """What is asked for, in the words of access rules; 405."""
    verb = (_NAMED if target.name else _UNNAMED).get(request.method)
    if verb is None or (target.subresource and verb == "delete"):
        message = "the server does not allow this method on the requested resource"
        raise Answer(405, "MethodNotAllowed", message, details={})
    if verb in {"get", "list"} and request.query.get("watch") in {"true", "1"}:
        return "watch"
    return verb


async def body_of(request: web.Request) -> Any:
    """The body as JSON, or YAML where it is none; an empty one is an empty map."""
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
        message = f"the body cannot be read: {error}"
        raise bad_request(message) from error


def options_of(request: web.Request, target: Target) -> Options:
    """What the query says of a write; 422 for words that it does not know."""
    query = request.query
    if query.get("dryRun", "All") != "All":
        message = "dryRun"
        raise _unsupported(message, query["dryRun"], ["All"])
    validation = query.get("fieldValidation") or Strictness.WARN
    if validation not in set(Strictness):
        message = "fieldValidation"
        raise _unsupported(message, validation, ["", *Strictness])
    if request.content_type in APPLY and request.method == "PATCH" and not query.get("fieldManager"):
        cause = Cause("fieldManager", "Required value: is required for apply patch", Blame.REQUIRED)
        message = "PatchOptions"
        raise invalid(message, _META, "", [cause])
    agent = request.headers.get("User-Agent", "unknown").split("/")[0]
    return Options(
        manager=query.get("fieldManager") or agent,
        force=query.get("force") == "true",
        dry_run="dryRun" in query,
        strictness=Strictness(validation),
        subresource=target.subresource,
    )


def deletion_of(request: web.Request, body: Any) -> tuple[Deletion, Object]:
    """How to delete, from the body or the query, and the preconditions."""
    given = body if isinstance(body, dict) else {}
    wanted = given.get("propagationPolicy") or request.query.get("propagationPolicy") or Propagation.BACKGROUND
    if wanted not in set(Propagation):
        message = "propagationPolicy"
        raise _unsupported(message, wanted, [*Propagation, "nil"], "DeleteOptions")
    grace = given.get("gracePeriodSeconds")
    if grace is None:
        grace = number_in(request, "gracePeriodSeconds")
    return Deletion(Propagation(wanted), grace), given.get("preconditions") or {}


def number_in(request: web.Request, name: str) -> int | None:
    """A number of the query; None where it is not given; 400 where it is none."""
    text = request.query.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        message = f'strconv.ParseInt: parsing "{text}": invalid syntax'
        raise bad_request(message) from error


def _unsupported(field: str, value: str, supported: list[str], kind: str = "CreateOptions") -> Answer:
    words = ", ".join(f'"{item}"' for item in supported)
    cause = Cause(field, f'Unsupported value: "{value}": supported values: {words}', Blame.NOT_SUPPORTED)
    return invalid(kind, _META, "", [cause])
