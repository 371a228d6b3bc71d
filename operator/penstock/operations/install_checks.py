"""Checks of our own installation: CRDs, processes, versions, certificate, rights, namespaces."""

import base64
import binascii
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from penstock.access.names import OPERATOR, SERVER, SERVER_SECRET
from penstock.cluster.resources import (
    CONSUMERS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    INFERENCE_GATEWAYS,
    MODEL_DEPLOYMENTS,
    MODEL_PROVIDERS,
    NAMESPACES,
    SECRETS,
)
from penstock.operations.certificates import expiry
from penstock.operations.checks import Check, Facts, Outcome, fail, fine, skip, some, warn
from penstock.operations.installation import leader, ready_replicas, version_of
from penstock.operations.view import conditions_of, name_of, namespace_of, part

__all__ = ["INSTALL_CHECKS"]

Object = dict[str, Any]

_INSTALL = "helm install penstock charts/penstock -n"
_CLOSE = timedelta(days=7)
_POD_SECURITY = "pod-security.kubernetes.io/enforce"
_SERVER_FLAG, _SECRETS_FLAG = "--server-url", "--secret-namespaces"


def _crds(facts: Facts) -> Outcome:
    listing = facts.view.listing(CUSTOM_RESOURCE_DEFINITIONS)
    if listing.gap is not None:
        return skip(listing.message, "Use a context that may list CustomResourceDefinitions")
    live = {name_of(each): each for each in listing.items}
    missing = sorted(set(facts.definitions) - set(live))
    cure = f"helm upgrade --install penstock-crds charts/penstock-crds of version {facts.version}"
    if missing:
        return fail(f"missing: {some(missing)}", cure)
    mine = {name: live[name] for name in facts.definitions}
    unready = [
        name for name, each in mine.items() if conditions_of(each).get("Established", {}).get("status") != "True"
    ]
    if unready:
        return fail(f"not established: {some(unready)}", f"See kubectl describe crd {unready[0]}")
    other = [name for name, each in mine.items() if _schema(each) != _schema(facts.definitions[name])]
    if other:
        return warn(f"of another version than {facts.version}: {some(other)}", cure)
    return fine(f"{len(mine)} kinds, as penstock {facts.version} has them")


def _schema(definition: Object) -> Any:
    """The schemas by version; the API server leaves out what is empty."""
    versions = part(definition, "spec").get("versions") or ()
    return {each.get("name"): _without_empty(part(each, "schema", "openAPIV3Schema")) for each in versions}


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        cleaned = {key: _without_empty(each) for key, each in value.items()}
        return {key: each for key, each in cleaned.items() if each not in (None, "", {}, []) and each is not False}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


def _process(facts: Facts, name: str) -> Outcome | None:
    """None where its Deployment is ready."""
    listing = facts.view.listing(DEPLOYMENTS)
    if listing.gap is not None:
        return skip(listing.message, f"Use a context that may list deployments in {facts.namespace}")
    found = ready_replicas(facts.view, facts.namespace, name)
    if found is None:
        cure = f"{_INSTALL} {facts.namespace}, or name the namespace where it runs by -n"
        return fail(f"there is no Deployment {facts.namespace}/{name}", cure)
    ready, wanted = found
    cure = f"See kubectl -n {facts.namespace} describe pods and logs deploy/{name}"
    if not ready:
        return fail(f"none of {wanted} replicas of {name} is ready", cure)
    return warn(f"{ready} of {wanted} replicas of {name} are ready", cure) if ready < wanted else None


def _operator(facts: Facts) -> Outcome:
    found = _process(facts, OPERATOR)
    return found or fine(f"{facts.namespace}/{OPERATOR} is ready")


def _leader(facts: Facts) -> Outcome:
    found = leader(facts.view, facts.namespace, facts.now)
    cure = f"See kubectl -n {facts.namespace} logs deploy/{OPERATOR}; only the leader acts"
    if found is None:
        return fail(f"there is no Lease {OPERATOR} in {facts.namespace}: nobody has led yet", cure)
    silent = max(found.silent.total_seconds(), 0)
    if not found.works:
        who = found.holder or "nobody"
        return fail(f"the Lease is held by {who} and was renewed {silent:.0f} s ago", cure)
    return fine(f"{found.holder} leads, renewed {silent:.0f} s ago")


def _server(facts: Facts) -> Outcome:
    found = _process(facts, SERVER)
    if found is not None and not facts.view.items(INFERENCE_GATEWAYS) and not _flag(facts, _SERVER_FLAG):
        return skip("no gateway needs it, and the operator is not told of one")
    return found or fine(f"{facts.namespace}/{SERVER} is ready")


def _certificate(facts: Facts) -> Outcome:
    if (_flag(facts, _SERVER_FLAG) or "").startswith("http:"):
        return warn(
            "the server is called without TLS", "Set the chart's `tls.mode` to Auto: tokens travel in clear now"
        )
    listing = facts.view.listing(SECRETS)
    if listing.gap is not None:
        return skip(listing.message, f"Use a context that may get Secret {facts.namespace}/{SERVER_SECRET}")
    live = facts.view.find(SECRETS, facts.namespace, SERVER_SECRET)
    cure = f"See kubectl -n {facts.namespace} logs deploy/{OPERATOR}, or cert-manager's Certificate"
    if live is None:
        return fail(f"there is no Secret {facts.namespace}/{SERVER_SECRET}", cure)
    try:
        until = expiry(base64.b64decode(str(part(live, "data").get("tls.crt") or "")))
    except binascii.Error:
        until = None
    if until is None:
        return fail(f"tls.crt of {facts.namespace}/{SERVER_SECRET} is no certificate", cure)
    left = until - facts.now
    told = f"good until {until:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta(0):
        return fail(f"it ran out at {until:%Y-%m-%d %H:%M} UTC", cure)
    return warn(f"{told}, {left.days} days", cure) if left < _CLOSE else fine(f"{told}, {left.days} days")


def _versions(facts: Facts) -> Outcome:
    """The command's, the operator's, the server's, and the gateways': all one, but during an upgrade."""
    named = {name: facts.view.find(DEPLOYMENTS, facts.namespace, name) for name in (OPERATOR, SERVER)}
    found = {name: version_of(live) for name, live in named.items() if live is not None}
    found |= {
        f"gateway {namespace_of(live)}/{name_of(live)}": version_of(live)
        for live in facts.view.items(DEPLOYMENTS)
        if part(live, "metadata", "labels").get("penstock.dev/gateway")
    }
    known = {name: version for name, version in found.items() if version}
    if not known:
        return skip("no image with a version's tag was seen")
    other = sorted(f"{name} {version}" for name, version in known.items() if version != facts.version)
    if other:
        cure = "Upgrade what is older; for this command use the penstock of the operator's version"
        return warn(f"this is penstock {facts.version}, and there are {some(other)}", cure)
    return fine(f"all {len(known)} of {facts.version}")


def _access(facts: Facts) -> Outcome:
    return _rights(facts, "", "Ask a cluster administrator for them; what may not be read is not seen here")


def _operator_access(facts: Facts) -> Outcome:
    account = f"system:serviceaccount:{facts.namespace}:{OPERATOR}"
    return _rights(facts, account, "helm upgrade the chart: its roles are made from the same table")


def _rights(facts: Facts, account: str, cure: str) -> Outcome:
    mine = [each for each in facts.reviewed if each.needed.account == account]
    known = [each for each in mine if each.allowed is not None]
    if not known:
        return skip("the API server does not say", "Try kubectl auth can-i --list")
    denied = [str(each.needed) for each in known if not each.allowed]
    who = account.rpartition(":")[2] or "you"
    if denied:
        judge = fail if account else warn
        return judge(f"{who} may not {some(denied)}", cure)
    return fine(f"{who}: all of {len(known)}")


def _namespaces(facts: Facts) -> Outcome:
    listing = facts.view.listing(NAMESPACES)
    if listing.gap is not None:
        return skip(listing.message)
    levels = {name_of(live): part(live, "metadata", "labels").get(_POD_SECURITY, "") for live in listing.items}
    ours = sorted(
        {facts.namespace, *_inhabited(facts, (INFERENCE_GATEWAYS, MODEL_DEPLOYMENTS))} & set(levels),
    )
    bare = [name for name in ours if levels[name] not in {"restricted", "baseline"}]
    if bare:
        cure = f"kubectl label namespace {bare[0]} {_POD_SECURITY}=restricted: all that Penstock makes passes it"
        return warn(f"Pod Security is not enforced in {some(bare)}", cure)
    return fine(", ".join(f"{name}: {levels[name]}" for name in ours) or "none is there yet")


def _secret_namespaces(facts: Facts) -> Outcome:
    """A Secret outside these namespaces is not seen by an operator that the chart installed."""
    flag = _flag(facts, _SECRETS_FLAG)
    if flag is None:
        return skip("the operator is not told of any: it reads Secrets everywhere, or was not seen")
    given = {name for name in flag.split(",") if name}
    wanted = _inhabited(facts, (MODEL_PROVIDERS, CONSUMERS, INFERENCE_GATEWAYS))
    lacking = sorted(wanted - given)
    if lacking:
        return fail(
            f"providers, consumers or gateways live in {some(lacking)}, whose Secrets the operator may not read",
            "Add them to the chart's `secretNamespaces`",
        )
    return fine(f"readable: {some(sorted(given)) or 'none, and none is needed'}")


def _inhabited(facts: Facts, kinds: Iterable[Any]) -> set[str]:
    return {namespace_of(live) for kind in kinds for live in facts.view.items(kind)}


def _flag(facts: Facts, flag: str) -> str | None:
    """The value of a flag of the operator; None where it is not given, or the operator was not seen."""
    live = facts.view.find(DEPLOYMENTS, facts.namespace, OPERATOR)
    words = list(_arguments(live)) if live is not None else []
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name == flag:
            return value if equals else following
    return None


def _arguments(live: Object) -> Iterator[str]:
    for container in part(live, "spec", "template", "spec").get("containers") or ():
        yield from map(str, container.get("args") or ())


INSTALL_CHECKS = (
    Check("crds", "our CustomResourceDefinitions and their schema", _crds),
    Check("operator", "the operator's Deployment", _operator),
    Check("leader", "the leader's Lease", _leader),
    Check("server", "the control-plane server's Deployment", _server),
    Check("certificate", "how long the server's certificate is good", _certificate),
    Check("versions", "images of operator, server and gateways against this command", _versions),
    Check("access", "what you may do", _access),
    Check("operator-access", "what the operator's account may do", _operator_access),
    Check("namespaces", "Pod Security of the namespaces that we run in", _namespaces),
    Check("secret-namespaces", "whose Secrets the operator may read", _secret_namespaces),
)
