"""Reading: lists in pages, selectors, and what is not there."""

import pytest
from contract.target import Target, config_map
from contract.widgets import WIDGETS, widget

from penstock.cluster.errors import Gone, Invalid, NotFound
from penstock.cluster.resources import CONFIG_MAPS, SERVICES


async def _three(cluster: Target) -> None:
    for name, labels in (("a", {"tier": "web"}), ("b", {"tier": "db", "team": "x"}), ("c", {})):
        reply = await cluster.create(config_map(name, labels=labels))
        assert reply.code == 201


async def test_pages_hold_everything_once(cluster: Target) -> None:
    """In order of names, all of one version, the last without a token."""
    await _three(cluster)
    pages = [page async for page in cluster.client.pages(CONFIG_MAPS, cluster.namespace, limit=2)]
    assert [[item["metadata"]["name"] for item in page.items] for page in pages] == [["a", "b"], ["c"]]
    assert pages[0].resource_version == pages[1].resource_version
    assert not pages[1].continue_token


async def test_pages_show_the_list_as_it_was(cluster: Target) -> None:
    """What comes between two pages is in neither of them."""
    await _three(cluster)
    first = await cluster.client.list(CONFIG_MAPS, cluster.namespace, limit=2)
    await cluster.create(config_map("bb"))
    token = first.continue_token
    second = await cluster.client.list(CONFIG_MAPS, cluster.namespace, limit=2, continue_token=token)
    assert [item["metadata"]["name"] for item in second.items] == ["c"]


async def test_a_token_may_be_used_again(cluster: Target) -> None:
    """A client that lost an answer asks again."""
    await _three(cluster)
    token = (await cluster.client.list(CONFIG_MAPS, cluster.namespace, limit=2)).continue_token
    found = [
        await cluster.client.list(CONFIG_MAPS, cluster.namespace, limit=2, continue_token=token) for _ in range(2)
    ]
    assert [page.items[0]["metadata"]["name"] for page in found] == ["c", "c"]


async def test_a_foreign_token_is_refused(cluster: Target) -> None:
    """Neither server can make anything of it."""
    with pytest.raises((Gone, Invalid)):
        await cluster.client.list(CONFIG_MAPS, cluster.namespace, continue_token="bm9uZQ")


_LABELS = {
    "equal": ("tier=web", ["a"]),
    "double equal": ("tier==web", ["a"]),
    "not equal": ("tier!=web", ["b", "c"]),
    "in": ("tier in (web, db)", ["a", "b"]),
    "not in": ("tier notin (web)", ["b", "c"]),
    "there": ("tier", ["a", "b"]),
    "not there": ("!tier", ["c"]),
    "both": ("tier in (web,db),team=x", ["b"]),
}


@pytest.mark.parametrize(("selector", "names"), _LABELS.values(), ids=_LABELS)
async def test_label_selectors(cluster: Target, selector: str, names: list[str]) -> None:
    await _three(cluster)
    page = await cluster.client.list(CONFIG_MAPS, cluster.namespace, labels=selector)
    assert [item["metadata"]["name"] for item in page.items] == names


async def test_field_selectors(cluster: Target) -> None:
    """The name of any kind, and what a CRD makes selectable."""
    await _three(cluster)
    page = await cluster.client.list(CONFIG_MAPS, cluster.namespace, fields="metadata.name=b")
    assert [item["metadata"]["name"] for item in page.items] == ["b"]
    await cluster.create(widget("fast", mode="Fast"))
    await cluster.create(widget("safe", mode="Safe"))
    page = await cluster.client.list(WIDGETS, cluster.namespace, fields="spec.mode=Safe")
    assert [item["metadata"]["name"] for item in page.items] == ["safe"]


_BAD_QUERIES = {
    "label selector": {"labelSelector": "tier in web"},
    "field selector": {"fieldSelector": "data.key=1"},
    "limit": {"limit": "many"},
}


@pytest.mark.parametrize("query", _BAD_QUERIES.values(), ids=_BAD_QUERIES)
async def test_a_query_that_cannot_be_read(cluster: Target, query: dict[str, str]) -> None:
    reply = await cluster.ask("GET", cluster.path(CONFIG_MAPS), **query)
    assert (reply.code, reply.body["reason"]) == (400, "BadRequest")


async def test_lists_say_their_kind(cluster: Target) -> None:
    """And their version, which is the newest or newer than what is in them."""
    made = await cluster.create(config_map())
    reply = await cluster.ask("GET", cluster.path(CONFIG_MAPS))
    assert (reply.body["kind"], reply.body["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(reply.version) >= int(made.version)


async def test_what_is_not_there(cluster: Target) -> None:
    """404 with the kind and the name; a list of nothing is no error."""
    with pytest.raises(NotFound) as caught:
        await cluster.client.get(SERVICES, "none", cluster.namespace)
    assert caught.value.details["name"] == "none"
    assert caught.value.details["kind"] == "services"
    assert 'services "none" not found' in str(caught.value)
    assert (await cluster.client.list(SERVICES, "no-such-namespace")).items == ()


async def test_a_kind_that_is_not_served(cluster: Target) -> None:
    reply = await cluster.ask("GET", "/apis/contract.penstock.dev/v1/gadgets")
    assert reply.code == 404
