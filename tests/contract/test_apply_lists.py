"""How lists merge in an apply: by key, as sets, or whole."""

from typing import Any

from contract.target import Target
from contract.test_writes import deployment
from contract.widgets import WIDGETS, widget

from penstock.cluster.resources import DEPLOYMENTS, SERVICES


def _with_container(**fields: Any) -> dict[str, Any]:
    manifest = deployment()
    manifest["spec"]["template"]["spec"]["containers"][0] |= fields
    return manifest


def _pods(live: dict[str, Any]) -> dict[str, Any]:
    pods: dict[str, Any] = live["spec"]["template"]["spec"]
    return pods


def service(**spec: Any) -> dict[str, Any]:
    """A Service without a namespace."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}


async def test_parts_merge_by_name(cluster: Target) -> None:
    """Each manager has its own; defaults inside stay the server's."""
    await cluster.apply(widget(parts=[{"name": "a", "colour": "red"}]))
    both = await cluster.apply(widget(parts=[{"name": "b"}]), "theirs")
    assert both.body["spec"]["parts"] == [{"name": "a", "colour": "red", "size": 1}, {"name": "b", "size": 1}]
    less = await cluster.apply(widget(parts=[{"name": "a"}]))
    assert less.body["spec"]["parts"] == [{"name": "a", "size": 1}, {"name": "b", "size": 1}]
    none = await cluster.apply(widget())
    assert none.body["spec"]["parts"] == [{"name": "b", "size": 1}]


async def test_a_part_that_others_write_to_stays(cluster: Target) -> None:
    """Without the fields that were ours alone."""
    await cluster.apply(widget(parts=[{"name": "a", "colour": "red"}]))
    await cluster.apply(widget(parts=[{"name": "a", "size": 3}]), "theirs", force="true")
    left = await cluster.apply(widget())
    assert left.body["spec"]["parts"] == [{"name": "a", "size": 3}]


async def test_conflicts_inside_a_part(cluster: Target) -> None:
    """The path names the part."""
    await cluster.apply(widget(parts=[{"name": "a", "colour": "red"}]), "theirs")
    refused = await cluster.apply(widget(parts=[{"name": "a", "colour": "blue"}]))
    assert (refused.code, refused.fields) == (409, {'.spec.parts[name="a"].colour'})


async def test_sets_add_up(cluster: Target) -> None:
    """Each manager takes its own members away again."""
    await cluster.apply(widget(regions=["eu", "us"]))
    both = await cluster.apply(widget(regions=["us", "asia"]), "theirs")
    assert sorted(both.body["spec"]["regions"]) == ["asia", "eu", "us"]
    less = await cluster.apply(widget())
    assert sorted(less.body["spec"]["regions"]) == ["asia", "us"]


async def test_lists_without_a_key_are_one_value(cluster: Target) -> None:
    await cluster.apply(widget(arguments=["-a", "-b"]), "theirs")
    assert (await cluster.apply(widget(arguments=["-c"]))).fields == {".spec.arguments"}
    forced = await cluster.apply(widget(arguments=["-c"]), force="true")
    assert forced.body["spec"]["arguments"] == ["-c"]


async def test_the_order_of_parts_is_no_change_of_owner(cluster: Target) -> None:
    """Turned round, everything is still there once."""
    await cluster.apply(widget(parts=[{"name": "a"}, {"name": "b"}]))
    turned = await cluster.apply(widget(parts=[{"name": "b"}, {"name": "a"}]))
    assert sorted(part["name"] for part in turned.body["spec"]["parts"]) == ["a", "b"]
    again = await cluster.apply(widget(parts=[{"name": "b"}, {"name": "a"}]))
    assert again.version == turned.version


async def test_an_edit_inside_a_part_changes_hands(cluster: Target) -> None:
    """A merge patch replaces the list, but owns only what differs."""
    await cluster.apply(widget(parts=[{"name": "a", "colour": "red"}, {"name": "b", "colour": "red"}]))
    edit = {"spec": {"parts": [{"name": "a", "colour": "blue"}, {"name": "b", "colour": "red"}]}}
    await cluster.patch(WIDGETS, "one", edit, fieldManager="editor")
    refused = await cluster.apply(widget(parts=[{"name": "a", "colour": "red"}, {"name": "b", "colour": "red"}]))
    assert refused.fields == {'.spec.parts[name="a"].colour'}


async def test_containers_merge_by_name(cluster: Target) -> None:
    """A container that was injected stays."""
    await cluster.apply(deployment())
    live = (await cluster.get(DEPLOYMENTS, "web")).body
    _pods(live)["containers"].append({"name": "sidecar", "image": "side:1"})
    assert (await cluster.replace(live, fieldManager="injector")).code == 200
    again = await cluster.apply(_with_container(image="web:2"))
    assert [(each["name"], each["image"]) for each in _pods(again.body)["containers"]] == [
        ("main", "web:2"),
        ("sidecar", "side:1"),
    ]


async def test_environment_merges_by_name(cluster: Target) -> None:
    await cluster.apply(_with_container(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
    await cluster.apply(_with_container(env=[{"name": "C", "value": "3"}]), "theirs")
    less = await cluster.apply(_with_container(env=[{"name": "A", "value": "1"}]))
    env = {each["name"]: each["value"] for each in _pods(less.body)["containers"][0]["env"]}
    assert env == {"A": "1", "C": "3"}


async def test_ports_of_containers_merge_by_number_and_protocol(cluster: Target) -> None:
    """TCP where nothing is said."""
    await cluster.apply(_with_container(ports=[{"containerPort": 80, "name": "http"}]))
    tcp = [{"containerPort": 80, "protocol": "TCP", "name": "http"}, {"containerPort": 80, "protocol": "UDP"}]
    both = await cluster.apply(_with_container(ports=tcp))
    assert len(_pods(both.body)["containers"][0]["ports"]) == 2
    less = await cluster.apply(_with_container(ports=tcp[1:]))
    assert [port["protocol"] for port in _pods(less.body)["containers"][0]["ports"]] == ["UDP"]


async def test_arguments_of_containers_are_one_value(cluster: Target) -> None:
    await cluster.apply(_with_container(args=["-a", "-b"]), "theirs")
    refused = await cluster.apply(_with_container(args=["-a"]))
    assert refused.fields == {'.spec.template.spec.containers[name="main"].args'}


async def test_ports_of_services_merge_by_number_and_protocol(cluster: Target) -> None:
    """An added port stays; ours is renamed in place."""
    await cluster.apply(service(selector={"app": "web"}, ports=[{"name": "a", "port": 80, "targetPort": 8080}]))
    live = (await cluster.get(SERVICES, "web")).body
    live["spec"]["ports"].append({"name": "extra", "port": 81})
    assert (await cluster.replace(live)).code == 200
    renamed = await cluster.apply(service(selector={"app": "web"}, ports=[{"name": "b", "port": 80, "targetPort": 1}]))
    ports = [(port["name"], port["port"], port["targetPort"]) for port in renamed.body["spec"]["ports"]]
    assert ports == [("b", 80, 1), ("extra", 81, 81)]


async def test_a_selector_is_one_value(cluster: Target) -> None:
    """Of a Service: a key that is dropped is gone, whoever wrote it."""
    port = [{"port": 80}]
    await cluster.apply(service(selector={"app": "web", "tier": "a"}, ports=port))
    live = await cluster.apply(service(selector={"app": "web"}, ports=port))
    assert live.body["spec"]["selector"] == {"app": "web"}
    await cluster.patch(SERVICES, "web", {"spec": {"selector": {"odd": "1"}}}, fieldManager="editor")
    assert (await cluster.apply(service(selector={"app": "web"}, ports=port))).fields == {".spec.selector"}


async def test_finalizers_are_a_set(cluster: Target) -> None:
    """Everybody has their own."""
    manifest = widget()
    manifest["metadata"]["finalizers"] = ["penstock.dev/a"]
    await cluster.apply(manifest)
    other = widget()
    other["metadata"]["finalizers"] = ["penstock.dev/b"]
    both = await cluster.apply(other, "theirs")
    assert sorted(both.body["metadata"]["finalizers"]) == ["penstock.dev/a", "penstock.dev/b"]
    less = await cluster.apply(widget())
    assert less.body["metadata"]["finalizers"] == ["penstock.dev/b"]


async def test_owners_merge_by_uid(cluster: Target) -> None:
    manifest = widget()
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "11111111-1111-1111-1111-111111111111"}
    manifest["metadata"]["ownerReferences"] = [owner]
    await cluster.apply(manifest)
    other = widget()
    other["metadata"]["ownerReferences"] = [{**owner, "uid": "22222222-2222-2222-2222-222222222222", "name": "p"}]
    both = await cluster.apply(other, "theirs")
    assert [each["name"] for each in both.body["metadata"]["ownerReferences"]] == ["o", "p"]
