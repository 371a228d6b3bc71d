"""Lists: order, paging, selectors."""

import pytest

from contract.target import WIDGETS, Object, Space, config_map, pod, widget
from penstock.cluster.resources import CONFIG_MAPS, EVENTS, PODS

pytestmark = pytest.mark.timeout(60)


def _names(listed: Object) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


async def test_an_empty_list_has_a_version(space: Space) -> None:
    listed = (await space.listing(CONFIG_MAPS)).expect(200)
    assert (listed["kind"], listed["apiVersion"], _names(listed)) == ("ConfigMapList", "v1", [])
    assert int(listed["metadata"]["resourceVersion"]) > 0
    assert "continue" not in listed["metadata"]


async def test_a_list_is_in_order_of_names(space: Space) -> None:
    for name in ("b", "c", "a"):
        (await space.create(config_map(name))).expect(201)
    assert _names((await space.listing(CONFIG_MAPS)).expect(200)) == ["a", "b", "c"]


async def test_a_list_is_at_least_as_new_as_the_last_write(space: Space) -> None:
    made = (await space.create(config_map("a"))).expect(201)
    listed = (await space.listing(CONFIG_MAPS)).expect(200)
    assert int(listed["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])


async def test_items_of_custom_resources_carry_their_kind(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    item = (await space.listing(WIDGETS)).expect(200)["items"][0]
    assert (item["kind"], item["apiVersion"]) == ("Widget", "contract.test/v1")


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7])
async def test_pages_hold_everything_once(space: Space, limit: int) -> None:
    for number in range(5):
        (await space.create(config_map(f"a{number}"))).expect(201)
    pages = [page async for page in space.cluster.client.pages(CONFIG_MAPS, space.name, limit=limit)]
    names = [item["metadata"]["name"] for page in pages for item in page.items]
    assert names == [f"a{number}" for number in range(5)]
    assert all(len(page.items) <= limit for page in pages)
    assert len({page.resource_version for page in pages}) == 1


async def test_pages_show_one_moment(space: Space) -> None:
    """What is written between two pages is not in the second."""
    for name in ("a", "b", "c"):
        (await space.create(config_map(name))).expect(201)
    first = (await space.listing(CONFIG_MAPS, limit="2")).expect(200)
    assert first["metadata"]["remainingItemCount"] == 1
    (await space.delete(CONFIG_MAPS, "c")).expect(200)
    (await space.create(config_map("d"))).expect(201)
    second = (await space.listing(CONFIG_MAPS, limit="2", **{"continue": first["metadata"]["continue"]})).expect(200)
    assert _names(second) == ["c"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert not second["metadata"].get("continue")


async def test_a_page_can_be_asked_for_again(space: Space) -> None:
    """As a client does whose connection broke."""
    for name in ("a", "b"):
        (await space.create(config_map(name))).expect(201)
    token = (await space.listing(CONFIG_MAPS, limit="1")).expect(200)["metadata"]["continue"]
    for _ in range(2):
        assert _names((await space.listing(CONFIG_MAPS, limit="1", **{"continue": token})).expect(200)) == ["b"]


async def test_a_token_that_is_none(space: Space) -> None:
    (await space.listing(CONFIG_MAPS, limit="1", **{"continue": "nonsense"})).refused(400, "BadRequest")


_LABELS = {
    "equal": ("app=x", ["a"]),
    "double equal": ("app==x", ["a"]),
    "not equal": ("app!=x", ["b", "c"]),
    "in": ("app in (x,y)", ["a", "b"]),
    "not in": ("app notin (x)", ["b", "c"]),
    "exists": ("app", ["a", "b"]),
    "absent": ("!app", ["c"]),
    "two": ("app in (x,y),tier=1", ["b"]),
    "none": ("app=z", []),
    "empty value": ("app=", []),
}


@pytest.mark.parametrize(("selector", "names"), _LABELS.values(), ids=_LABELS)
async def test_label_selectors(space: Space, selector: str, names: list[str]) -> None:
    (await space.create(config_map("a", {"app": "x"}))).expect(201)
    (await space.create(config_map("b", {"app": "y", "tier": "1"}))).expect(201)
    (await space.create(config_map("c", {"tier": "1"}))).expect(201)
    assert _names((await space.listing(CONFIG_MAPS, labelSelector=selector)).expect(200)) == names


@pytest.mark.parametrize("selector", ["app in x", "a=b=c", "=x", "app=sp ace"])
async def test_a_selector_that_cannot_be_read(space: Space, selector: str) -> None:
    (await space.listing(CONFIG_MAPS, labelSelector=selector)).refused(400, "BadRequest")


_FIELDS = {
    "name": ("metadata.name=a", ["a"]),
    "other name": ("metadata.name!=a", ["b"]),
    "node": ("spec.nodeName=n1", ["a"]),
    "no node": ("spec.nodeName=", ["b"]),
    "phase": ("status.phase=Pending", ["a", "b"]),
    "other phase": ("status.phase!=Pending", []),
    "two": ("spec.nodeName=n1,metadata.name=b", []),
}


@pytest.mark.parametrize(("selector", "names"), _FIELDS.values(), ids=_FIELDS)
async def test_field_selectors_of_pods(space: Space, selector: str, names: list[str]) -> None:
    (await space.create(pod("a", nodeName="n1"))).expect(201)
    (await space.create(pod("b"))).expect(201)
    assert _names((await space.listing(PODS, fieldSelector=selector)).expect(200)) == names


async def test_field_selectors_of_events(space: Space) -> None:
    """As `kubectl describe` asks for those of one object."""
    for name, kind in (("one", "Widget"), ("two", "Pod")):
        about = {"apiVersion": "v1", "kind": kind, "name": "a", "namespace": space.name, "uid": f"uid-{name}"}
        event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "involvedObject": about}
        said = {"reason": "Seen", "type": "Normal", "message": "here", "reportingComponent": "penstock"}
        (await space.create({**event, **said})).expect(201)
    asked = f"involvedObject.name=a,involvedObject.namespace={space.name}"
    asked += ",involvedObject.kind=Widget,involvedObject.uid=uid-one,reportingComponent=penstock"
    assert _names((await space.listing(EVENTS, fieldSelector=asked)).expect(200)) == ["one"]


async def test_selectable_fields_of_a_custom_resource(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    (await space.create(widget("b", color="Blue"))).expect(201)
    assert _names((await space.listing(WIDGETS, fieldSelector="spec.color=Blue")).expect(200)) == ["b"]
    assert _names((await space.listing(WIDGETS, fieldSelector="metadata.name=a")).expect(200)) == ["a"]


async def test_a_field_that_cannot_be_selected_by(space: Space) -> None:
    (await space.listing(WIDGETS, fieldSelector="spec.size=3")).refused(400, "BadRequest")
    (await space.listing(CONFIG_MAPS, fieldSelector="data.k=3")).refused(400, "BadRequest")


async def test_paging_counts_what_was_selected(space: Space) -> None:
    for name, app in (("a", "x"), ("b", "y"), ("c", "x"), ("d", "x")):
        (await space.create(config_map(name, {"app": app}))).expect(201)
    first = (await space.listing(CONFIG_MAPS, limit="2", labelSelector="app=x")).expect(200)
    assert _names(first) == ["a", "c"]
    token = first["metadata"]["continue"]
    second = (await space.listing(CONFIG_MAPS, limit="2", labelSelector="app=x", **{"continue": token})).expect(200)
    assert _names(second) == ["d"]


async def test_metadata_alone(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    listed = (await space.cluster.ask("GET", space.path(WIDGETS), None, accept)).expect(200)
    assert listed["kind"] == "PartialObjectMetadataList"
    assert "spec" not in listed["items"][0]
    assert listed["items"][0]["metadata"]["name"] == "a"


async def test_the_table_of_a_custom_resource(space: Space) -> None:
    """What `kubectl get` shows: the columns of the CRD."""
    (await space.create(widget("a"))).expect(201)
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    (await space.patch(WIDGETS, "a", {"status": status}, "status")).expect(200)
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = (await space.cluster.ask("GET", space.path(WIDGETS), None, accept)).expect(200)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Color", "Ready", "Size", "Age"]
    assert [column["priority"] for column in table["columnDefinitions"]] == [0, 0, 0, 1, 0]
    assert table["rows"][0]["cells"][:4] == ["a", "Red", "True", 3]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
