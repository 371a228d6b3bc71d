"""Rendered revisions: goldens, Pod Security, what the API server would rewrite, and when a revision gets a new name."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.plans import checkpoint, plan
from builders.revisions import CASES, replanned, revision_request
from penstock.api.quantities import Money, format_bytes, parse_bytes
from penstock.api.refusals import Refused
from penstock.render.names import HTTP_PORT
from penstock.render.revisions import (
    RenderedRevision,
    RevisionRequest,
    decode,
    render_controller_revision,
    render_revision,
)
from penstock.render.services import render_service

GOLDEN = Path(__file__).parents[1] / "golden"
HOST_PATH_CASES = frozenset({"vllm-fp8-h100-node-cache"})
RESTRICTED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
LONGEST_NAME = "a" + "b" * 51
BYTE_QUANTITIES = frozenset({"memory", "ephemeral-storage", "storage", "sizeLimit"})

every_case = pytest.mark.parametrize("name", CASES)


def rendered(name: str) -> RenderedRevision:
    return render_revision(CASES[name])


def controller_revision(request: RevisionRequest) -> dict[str, Any]:
    return render_controller_revision(
        request.deployment, render_revision(request), request.assignment, number=7, spec_digest="digest"
    )


def of_kind(revision: RenderedRevision, kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in revision.manifests if manifest["kind"] == kind]


def deployment(revision: RenderedRevision) -> dict[str, Any]:
    (found,) = of_kind(revision, "Deployment")
    return found


def pods(revision: RenderedRevision) -> Iterator[dict[str, Any]]:
    """The pod specs of everything that has a template."""
    for manifest in revision.manifests:
        if "template" in manifest["spec"]:
            yield manifest["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its path."""
    yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from walk(child, f"{path}.{key}")


@every_case
def test_golden(name: str, update_golden: bool) -> None:  # noqa: FBT001 - a fixture
    """What is applied changes only on purpose: pytest tests/render --update-golden, then read the diff."""
    path = GOLDEN / f"{name}.yaml"
    revision = rendered(name)
    service = render_service(CASES[name].deployment, revision.name, CASES[name].assignment)
    text = yaml.safe_dump_all([*revision.manifests, service], sort_keys=True, width=120)
    if update_golden:
        path.write_text(text)
    assert path.read_text() == text


@every_case
def test_pods_are_restricted(name: str) -> None:
    """Pod Security *restricted*; the node cache's hostPath is the one exception, which the pool's owner allows."""
    for pod in pods(rendered(name)):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        for container in containers(pod):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["readOnlyRootFilesystem"] is True
            assert "privileged" not in own
            assert all("hostPort" not in port for port in container.get("ports", ()))
        types = {key for volume in pod["volumes"] for key in volume if key != "name"}
        assert types - RESTRICTED_VOLUMES == ({"hostPath"} if name in HOST_PATH_CASES else set())


@every_case
def test_pods_keep_to_themselves(name: str) -> None:
    for pod in pods(rendered(name)):
        assert pod["enableServiceLinks"] is False
        assert pod["automountServiceAccountToken"] is False


@every_case
def test_the_user_has_a_name_where_python_runs(name: str) -> None:
    """No image lists it: `getpass.getuser`, which compilers ask for the place of their cache, fails without."""
    for pod in pods(rendered(name)):
        for container in pod["containers"]:
            variables = {variable["name"]: variable.get("value") for variable in container["env"]}
            assert variables["USER"]
            assert any(mount["mountPath"] == variables["HOME"] for mount in container["volumeMounts"])


@every_case
def test_engine_has_gpus_and_shared_memory(name: str) -> None:
    planned = CASES[name].assignment.plan
    pod = deployment(rendered(name))["spec"]["template"]["spec"]
    (engine,) = pod["containers"]
    for kind in ("limits", "requests"):
        assert engine["resources"][kind][planned.gpu_resource] == str(planned.gpus)
    (mount,) = (mount for mount in engine["volumeMounts"] if mount["mountPath"] == "/dev/shm")  # noqa: S108 - a mount
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == mount["name"])
    size = parse_bytes(volume["emptyDir"]["sizeLimit"])
    assert volume["emptyDir"]["medium"] == "Memory"
    assert 64 * 2**20 < size < parse_bytes(engine["resources"]["limits"]["memory"])


@every_case
def test_images_are_pinned(name: str) -> None:
    for pod in pods(rendered(name)):
        for container in containers(pod):
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")


@every_case
def test_nothing_is_null_or_empty(name: str) -> None:
    """The API server drops them, so that what was applied and what is live would differ for ever."""
    for manifest in (*rendered(name).manifests, controller_revision(CASES[name])):
        for path, value in walk(manifest):
            assert value is not None, path
            # An empty namespaceSelector means every namespace, and stays.
            assert value not in ({}, []) or path.endswith(".namespaceSelector"), path


@every_case
def test_quantities_are_as_the_api_server_stores_them(name: str) -> None:
    found = 0
    for manifest in rendered(name).manifests:
        for path, value in walk(manifest):
            if path.rpartition(".")[2] in BYTE_QUANTITIES and isinstance(value, str):
                assert format_bytes(parse_bytes(value)) == value, path
                found += 1
    assert found >= 4


@every_case
def test_protocols_are_said(name: str) -> None:
    revision = rendered(name)
    service = render_service(CASES[name].deployment, revision.name, CASES[name].assignment)
    ports = [
        value
        for manifest in (*revision.manifests, service)
        for path, values in walk(manifest)
        if path.endswith(".ports")
        for value in values
    ]
    assert len(ports) == 4
    assert all(port["protocol"] == "TCP" for port in ports)


@every_case
def test_names_fit(name: str) -> None:
    """A Service's name and a label's value are at most 63 characters long."""
    request = revision_request(CASES[name].assignment.plan, _spec(name), pool=_pool(name), name=LONGEST_NAME)
    revision = render_revision(request)
    for manifest in (*revision.manifests, controller_revision(request)):
        assert len(manifest["metadata"]["name"]) <= 63
        for path, value in walk(manifest):
            if ".labels." in path or ".matchLabels." in path:
                assert len(value) <= 63


@every_case
def test_children_are_owned_and_labelled(name: str) -> None:
    for manifest in rendered(name).manifests:
        metadata = manifest["metadata"]
        (owner,) = metadata["ownerReferences"]
        assert owner["controller"] is True
        assert owner["uid"] == CASES[name].deployment.metadata.uid
        assert metadata["labels"]["penstock.dev/revision"] == rendered(name).name
        assert metadata["labels"]["app.kubernetes.io/name"] == CASES[name].assignment.plan.engine.lower()
        assert metadata["namespace"] == "team"


@every_case
def test_selectors_meet_the_engine_and_nothing_else(name: str) -> None:
    """Whatever runs beside the engine must not get its traffic, nor count for its disruption budget."""
    revision = rendered(name)
    template = deployment(revision)["spec"]["template"]
    service = render_service(CASES[name].deployment, revision.name, CASES[name].assignment)
    (budget,), (headless,) = of_kind(revision, "PodDisruptionBudget"), of_kind(revision, "Service")
    selectors = [
        service["spec"]["selector"],
        headless["spec"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
        deployment(revision)["spec"]["selector"]["matchLabels"],
    ]
    others = [
        manifest["spec"]["template"]["metadata"]["labels"]
        for manifest in revision.manifests
        if manifest["kind"] != "Deployment" and "template" in manifest["spec"]
    ]
    for selector in selectors:
        assert selector.items() <= template["metadata"]["labels"].items()
        assert not any(selector.items() <= labels.items() for labels in others)


@every_case
def test_what_does_not_serve_keeps_no_node(name: str) -> None:
    """Otherwise replicas that load or crash would block the drain of a node for as long as they do."""
    (budget,) = of_kind(rendered(name), "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@every_case
def test_grace_covers_the_drain(name: str) -> None:
    pod = deployment(rendered(name))["spec"]["template"]["spec"]
    (engine,) = pod["containers"]
    drain = CASES[name].deployment.spec.rollout.drain_seconds
    assert engine["lifecycle"]["preStop"]["sleep"]["seconds"] + drain < pod["terminationGracePeriodSeconds"]


@every_case
def test_service_leads_to_the_engine(name: str) -> None:
    (engine,) = deployment(rendered(name))["spec"]["template"]["spec"]["containers"]
    service = render_service(CASES[name].deployment, "r", CASES[name].assignment)
    assert [port["name"] for port in engine["ports"]] == [HTTP_PORT]
    assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(8000, HTTP_PORT)]


@every_case
def test_revision_is_pinned_whole(name: str) -> None:
    request = CASES[name]
    manifest = controller_revision(request)
    kept = decode(json.loads(json.dumps(manifest["data"])))
    assert kept.assignment == request.assignment
    assert kept.manifests == rendered(name).manifests
    assert len(json.dumps(manifest)) < 2**20
    assert "replicas" not in deployment(rendered(name))["spec"]


def test_a_revision_of_an_older_release_is_read() -> None:
    """What plans have learnt to say since is filled in, so that an upgrade finds what serves."""
    request = next(iter(CASES.values()))
    data = json.loads(json.dumps(controller_revision(request)["data"]))
    assignment = json.loads(data["assignment"])
    for newer in ("attention_ranks", "expected"):
        assignment["plan"].pop(newer)
    kept = decode(data | {"assignment": json.dumps(assignment)})
    assert kept.assignment == replace(request.assignment, plan=replace(request.assignment.plan, expected=None))


@pytest.mark.parametrize("data", [{}, {"assignment": 1, "manifests": []}, {"assignment": "{}", "manifests": []}])
def test_somebody_elses_revision_is_no_revision(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's and ours alike
        decode(data)


@every_case
def test_name_is_stable(name: str) -> None:
    """Replicas and the nodes that were planned are no part of a revision."""
    request = CASES[name]
    moved = replace(request, assignment=replace(request.assignment, nodes=("node-z",)))
    spec = {**_spec(name), "replicas": 5, "scaling": {"minReplicas": 1, "maxReplicas": 9}}
    scaled = revision_request(request.assignment.plan, spec, pool=_pool(name))
    assert {render_revision(each).name for each in (request, moved, scaled)} == {rendered(name).name}


def test_name_changes_with_what_pods_are_made_from() -> None:
    planned = plan()
    requests = {
        "as it is": revision_request(planned, {}),
        "image": revision_request(plan(image="registry.example.internal/vllm:v0.33.0"), {}),
        "engine version": revision_request(plan(engine_version="0.32.0"), {}),
        "engine version behind the same image": revision_request(
            plan(engine_version="0.32.0", image=planned.image), {}
        ),
        "arguments": revision_request(planned, {"engineArgs": ["--enforce-eager"]}),
        "checkpoint": revision_request(plan(checkpoint=checkpoint(revision="v2")), {}),
        "tensor parallel": revision_request(plan(tensor_parallel=4), {}),
        "drain": revision_request(planned, {"rollout": {"drainSeconds": 5}}),
        "cache": revision_request(planned, {"weights": {"cache": "Volume"}}),
        "environment": revision_request(planned, {"pod": {"environment": [{"name": "A", "value": "b"}]}}),
    }
    names = {what: render_revision(request).name for what, request in requests.items()}
    assert len(set(names.values())) == len(requests), names


def test_planned_nodes_are_preferred_not_required() -> None:
    """A node that is gone must not keep the pod away from the others."""
    affinity = deployment(rendered("vllm-claim"))["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (preference,) = affinity.pop("preferredDuringSchedulingIgnoredDuringExecution")
    assert preference["preference"]["matchExpressions"][0]["values"] == ["node-a", "node-b"]
    assert not affinity


def test_environment_of_users_is_not_expanded() -> None:
    """`$(HF_TOKEN)` in a user's variable would hand the token to whatever reads it."""
    spec = {"pod": {"environment": [{"name": "HEADERS", "value": "token=$(HF_TOKEN)"}]}}
    (engine,) = deployment(render_revision(revision_request(plan(), spec)))["spec"]["template"]["spec"]["containers"]
    assert {"name": "HEADERS", "value": "token=$$(HF_TOKEN)"} in engine["env"]


@every_case
def test_no_variable_is_set_twice(name: str) -> None:
    for pod in pods(rendered(name)):
        for container in containers(pod):
            names = [variable["name"] for variable in container.get("env", ())]
            assert len(names) == len(set(names))


@every_case
def test_tokens_come_from_secrets(name: str) -> None:
    for pod in pods(rendered(name)):
        for container in containers(pod):
            tokens = [each for each in container.get("env", ()) if "TOKEN" in each["name"]]
            assert all(set(each) == {"name", "valueFrom"} for each in tokens)


def test_replanned_memory_is_a_new_revision() -> None:
    """Rendered alike, planned otherwise: the pinned plan is what status explains."""
    request = CASES["vllm-claim"]
    memory = replace(request.assignment.plan.memory, kv_bytes=1)
    assert render_revision(replanned(request, memory=memory)).name != render_revision(request).name


@every_case
def test_a_price_is_no_part_of_what_is_rendered(name: str) -> None:
    """It changes without anybody's deployment: nothing may be started anew for it."""
    dear = replanned(CASES[name], price_per_replica_hour=Money.parse("99.00", "USD"))
    assert render_revision(dear) == rendered(name)


def test_node_cache_that_no_pool_offers_is_refused() -> None:
    """The planner leaves such pools out; weights must never land silently where nobody sized the disk for them."""
    with pytest.raises(Refused, match="nodeCache"):
        render_revision(revision_request(plan(), {"weights": {"cache": "Node"}}))


def _spec(name: str) -> dict[str, Any]:
    """A case's spec as users write it."""
    spec = CASES[name].deployment.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    del spec["model"]
    return spec


def _pool(name: str) -> dict[str, Any]:
    return CASES[name].pool_spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
