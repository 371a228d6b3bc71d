"""What is refused by access rules, and in which words; on the real server by RBAC, for a user who is impersonated."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from contract.target import APPLY, CONFIG_MAPS, Object, Reply, Space, config_map
from penstock.cluster.fake.authorizer import Access

pytestmark = pytest.mark.timeout(60)

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_USER = "system:serviceaccount:penstock-system:penstock-operator"
_PATIENCE = 200


@dataclass(frozen=True, slots=True)
class Guest:
    """A user who may do what the rule says, and what the user asks for."""

    space: Space

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> Reply:
        """As that user."""
        headers = {"Content-Type": APPLY} if method == "PATCH" else {}
        if self.space.cluster.server is None:
            headers["Impersonate-User"] = _USER
        return await self.space.cluster.ask(method, path, body, headers, **query)

    async def applies(self, name: str) -> Reply:
        """A ConfigMap."""
        path = CONFIG_MAPS.path(self.space.name, name)
        return await self.ask("PATCH", path, config_map(name, a="b"), fieldManager="guest")


async def _allow(
    space: Space, verbs: list[str], resource: str, *, name: str = "", everywhere: bool = False
) -> Callable[[], Any]:
    """Grant it, wait until it holds, and return what takes it back."""
    server = space.cluster.server
    if server is not None:
        inside = "" if everywhere else space.name

        def may(access: Access) -> bool:
            named = name in {"", access.name, access.selected}
            return access.verb in verbs and access.resource == resource and inside in {"", access.namespace} and named

        server.authorizer = may
        return _nothing
    kind = "ClusterRole" if everywhere else "Role"
    root = _RBAC if everywhere else f"{_RBAC}/namespaces/{space.name}"
    made = f"guest-{uuid.uuid4().hex[:8]}"
    rule: Object = {"apiGroups": [""], "resources": [resource], "verbs": verbs}
    if name:
        rule["resourceNames"] = [name]
    version = "rbac.authorization.k8s.io/v1"
    role = {"apiVersion": version, "kind": kind, "metadata": {"name": made}, "rules": [rule]}
    binding = {
        "apiVersion": version,
        "kind": f"{kind}Binding",
        "metadata": {"name": made},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": made},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": _USER}],
    }
    (await space.cluster.ask("POST", f"{root}/{kind.lower()}s", role)).expect(201)
    (await space.cluster.ask("POST", f"{root}/{kind.lower()}bindings", binding)).expect(201)

    async def take_back() -> None:
        (await space.cluster.ask("DELETE", f"{root}/{kind.lower()}bindings/{made}")).expect(200)

    return take_back


async def _nothing() -> None:
    """The server in memory is the test's own."""


async def _until_allowed(ask: Callable[[], Any]) -> Reply:
    """RBAC takes a moment to learn of a rule."""
    for _ in range(_PATIENCE):
        reply: Reply = await ask()
        if reply.status != 403:
            return reply
    return reply


@pytest_asyncio.fixture(loop_scope="session")
async def guest(space: Space) -> Guest:
    """A user with no right at all, and a ConfigMap that is there."""
    (await space.create(config_map("there"))).expect(201)
    if space.cluster.server is not None:
        space.cluster.server.authorizer = lambda _: False
    return Guest(space)


def _said(verb: str, resource: str, where: str) -> str:
    return f'User "{_USER}" cannot {verb} resource "{resource}" in API group "" {where}'


async def test_a_collection(guest: Guest) -> None:
    """It has no name; the namespace is said."""
    reply = await guest.ask("GET", CONFIG_MAPS.path(guest.space.name))
    body = reply.refused(403, "Forbidden")
    where = f'in the namespace "{guest.space.name}"'
    assert body["message"] == "configmaps is forbidden: " + _said("list", "configmaps", where)
    assert body["details"] == {"kind": "configmaps"}


async def test_a_collection_of_the_cluster(guest: Guest) -> None:
    """As an informer of all namespaces asks for it."""
    body = (await guest.ask("GET", CONFIG_MAPS.path())).refused(403, "Forbidden")
    said = _said("list", "configmaps", "at the cluster scope")
    assert body["message"] == f"configmaps is forbidden: {said}"


async def test_a_watch(guest: Guest) -> None:
    """Refused with a status of its own, and not as an event."""
    body = (await guest.ask("GET", CONFIG_MAPS.path(guest.space.name), watch="true")).refused(403, "Forbidden")
    where = f'in the namespace "{guest.space.name}"'
    assert body["message"] == "configmaps is forbidden: " + _said("watch", "configmaps", where)


async def test_one_object(guest: Guest) -> None:
    """Whether it is there is not told."""
    body = (await guest.ask("GET", CONFIG_MAPS.path(guest.space.name, "a"))).refused(403, "Forbidden")
    where = f'in the namespace "{guest.space.name}"'
    assert body["message"] == 'configmaps "a" is forbidden: ' + _said("get", "configmaps", where)
    assert body["details"] == {"kind": "configmaps", "name": "a"}


async def test_one_namespace_is_inside_of_itself(guest: Guest) -> None:
    """So a Role in it can allow to read it."""
    name = guest.space.name
    body = (await guest.ask("GET", f"/api/v1/namespaces/{name}")).refused(403, "Forbidden")
    where = f'in the namespace "{name}"'
    assert body["message"] == f'namespaces "{name}" is forbidden: ' + _said("get", "namespaces", where)


async def test_an_apply_that_makes_the_object_takes_two_rights(guest: Guest) -> None:
    """`patch` alone is enough for what is there already."""
    space = guest.space
    take_back = await _allow(space, ["patch"], "configmaps")
    (await _until_allowed(lambda: guest.applies("there"))).expect(200)
    body = (await guest.applies("new")).refused(403, "Forbidden")
    assert 'cannot create resource "configmaps"' in body["message"]
    await take_back()
    take_back = await _allow(space, ["patch", "create"], "configmaps")
    (await _until_allowed(lambda: guest.applies("new"))).expect(201)
    await take_back()


async def test_a_list_that_is_held_to_one_name(guest: Guest) -> None:
    """Of Namespaces, by a rule with that name; a list of all stays refused."""
    name = guest.space.name
    take_back = await _allow(guest.space, ["list", "watch"], "namespaces", name=name, everywhere=True)
    one = {"fieldSelector": f"metadata.name={name}"}
    listed = (await _until_allowed(lambda: guest.ask("GET", "/api/v1/namespaces", **one))).expect(200)
    assert [item["metadata"]["name"] for item in listed["items"]] == [name]
    (await guest.ask("GET", "/api/v1/namespaces")).refused(403, "Forbidden")
    (await guest.ask("GET", "/api/v1/namespaces", fieldSelector="metadata.name=default")).refused(403, "Forbidden")
    await take_back()


async def test_a_list_in_a_namespace_that_does_not_exist(space: Space) -> None:
    """Whoever may list there gets an empty one; nobody can be allowed to by a Role."""
    listed = (await space.cluster.ask("GET", CONFIG_MAPS.path("nowhere-at-all"))).expect(200)
    assert listed["items"] == []


async def test_a_watch_of_one_name(space: Space) -> None:
    """The client's field selector reaches the server."""
    (await space.create(config_map("a"))).expect(201)
    (await space.create(config_map("b"))).expect(201)
    (await space.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}})).expect(200)
    (await space.patch(CONFIG_MAPS, "b", {"data": {"x": "2"}})).expect(200)
    events = space.cluster.client.watch(
        CONFIG_MAPS, resource_version="0", namespace=space.name, fields="metadata.name=b", inactivity=20
    )
    async for event in events:
        assert event.object["metadata"]["name"] == "b"
        break
    await events.aclose()
