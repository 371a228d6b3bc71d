"""Our CRDs on a real API server: taken strictly, nothing lost, CEL of the same mind as our own validation."""

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from builders.rule_cases import RULE_CASES, RuleCase, minimal
from penstock.api.conditions import Condition, ConditionStatus
from penstock.api.crd import crd_documents
from penstock.api.kinds import KINDS, KINDS_BY_NAME, Kind
from penstock.api.meta import API_VERSION
from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, PlanStatus, RejectedAlternative
from penstock.api.refusals import Refused
from penstock.api.validation import parse
from testbed.control_plane import ControlPlane

pytestmark = pytest.mark.real

_SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"
_CREATED, _BAD_REQUEST, _INVALID = 201, 400, 422
_Reply = tuple[int, dict[str, Any]]


class _Server:
    """The API server with our CRDs; every write is strict."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        config = yaml.safe_load(plane.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        trust = ssl.create_default_context(cadata=authority)
        headers = {"Authorization": f"Bearer {user['token']}"}
        self.http = httpx.Client(base_url=cluster["server"], headers=headers, verify=trust)

    def create(self, manifest: dict[str, Any], *, dry_run: bool = True) -> _Reply:
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        return self.ask("POST", _path(manifest["kind"]), params=query, json=manifest)

    def ask(self, method: str, path: str, **request: Any) -> _Reply:
        reply = self.http.request(method, path, **request)
        return reply.status_code, reply.json()


def _path(kind: str, name: str = "", subresource: str = "") -> str:
    where = "/namespaces/default" if KINDS_BY_NAME[kind].namespaced else ""
    tail = "".join(f"/{part}" for part in (name, subresource) if part)
    return f"/apis/{API_VERSION}{where}/{KINDS_BY_NAME[kind].plural}{tail}"


@pytest.fixture(scope="module")
def server(real_plane: ControlPlane) -> Iterator[_Server]:
    for text in crd_documents().values():
        real_plane.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)
    names = [f"crd/{kind.plural}.penstock.dev" for kind in KINDS]
    real_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    server = _Server(real_plane)
    # Established comes a moment before the endpoints are served.
    real_plane.until(lambda: all(server.ask("GET", _path(kind.name))[0] == 200 for kind in KINDS), "our kinds")
    yield server
    server.http.close()


def _crd(server: _Server, kind: Kind) -> dict[str, Any]:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind.plural}.penstock.dev"
    return server.ask("GET", path)[1]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_nothing_of_a_crd_is_lost(server: _Server, kind: Kind) -> None:
    """What the API server keeps is what we wrote; it finds no fault with names or schema."""
    live, written = _crd(server, kind), yaml.safe_load(crd_documents()[f"{kind.plural}.yaml"])
    version, wanted = live["spec"]["versions"][0], written["spec"]["versions"][0]
    assert {key: version[key] for key in wanted} == wanted
    assert live["spec"]["names"] == written["spec"]["names"]
    assert {each["type"]: each["status"] for each in live["status"]["conditions"]} == {
        "Established": "True",
        "NamesAccepted": "True",
    }


@pytest.mark.parametrize("case", RULE_CASES.values(), ids=RULE_CASES)
def test_cel_blames_the_same_field(server: _Server, case: RuleCase) -> None:
    """The table that our own validation passes, put to the API server."""
    code, reply = server.create(case.manifest)
    if case.blamed is None:
        assert code == _CREATED, reply
        return
    assert code == _INVALID, reply
    assert case.blamed in {cause["field"] for cause in reply["details"]["causes"]}
    with pytest.raises(Refused) as refused:
        parse(case.manifest, strict=True)
    assert refused.value.refusals[0].cure in reply["message"]


_NOT_STRICT: dict[str, tuple[dict[str, Any], int]] = {
    "unknown field": ({"engin": "vLLM"}, _BAD_REQUEST),
    "unknown nested field": ({"workload": {"promtTokens": 1}}, _BAD_REQUEST),
    "enum": ({"engine": "vllm"}, _INVALID),
    "number in quotes": ({"replicas": "3"}, _INVALID),
    "money without quotes": ({"placement": {"maxPricePerReplicaHour": {"amount": 30.0}}}, _INVALID),
    "too many replicas": ({"replicas": 1001}, _INVALID),
    "form": ({"model": "Qwen/../etc"}, _INVALID),
    "missing": ({"scaling": {}}, _INVALID),
    "long list": ({"engineArgs": ["-x"] * 129}, _INVALID),
    "precision twice": ({"variants": [{"precision": "FP8", "model": m} for m in ("a/b", "c/d")]}, _INVALID),
    "jurisdiction twice": ({"placement": {"jurisdictions": ["EU", "EU"]}}, _INVALID),
}


@pytest.mark.parametrize(("spec", "code"), _NOT_STRICT.values(), ids=_NOT_STRICT)
def test_both_refuse_what_the_schema_forbids(server: _Server, spec: dict[str, Any], code: int) -> None:
    """A file that `penstock validate` refuses is refused by the cluster too."""
    manifest = minimal("ModelDeployment", **spec)
    assert server.create(manifest)[0] == code
    with pytest.raises(Refused):
        parse(manifest, strict=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("extra", [0, 1])
def test_names_at_the_limit(server: _Server, kind: Kind, extra: int) -> None:
    """The longest name is accepted by both, one character more by neither."""
    manifest = minimal(kind.name)
    manifest["metadata"]["name"] = "n" * (kind.longest_name + extra)
    assert server.create(manifest)[0] == (_INVALID if extra else _CREATED)
    if extra:
        with pytest.raises(Refused):
            parse(manifest, strict=True)
    else:
        parse(manifest, strict=True)


def test_samples_apply_strictly(server: _Server) -> None:
    """As the README says: namespaces first, then the folder; applying again changes nothing."""
    apply = ("apply", "--server-side", "--validate=strict", "-f")
    server.plane.kubectl(*apply, str(_SAMPLES / "00-namespaces.yaml"))
    server.plane.kubectl(*apply, str(_SAMPLES))
    # Where no operator has written a status, the first apply after the creation stores the default of it.
    server.plane.kubectl(*apply, str(_SAMPLES))
    before = _versions(server)
    server.plane.kubectl(*apply, str(_SAMPLES))
    assert _versions(server) == before
    assert {"InferencePool h100-eu", "ModelDeployment qwen3-32b", "Evaluation support-quality"} <= set(before)


def _versions(server: _Server) -> dict[str, str]:
    items = json.loads(server.plane.kubectl("get", "penstock", "--all-namespaces", "-o", "json"))["items"]
    return {f"{item['kind']} {item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_defaults_mean_the_same(server: _Server, kind: Kind) -> None:
    """What the API server fills in is what our models mean by its absence: nothing is decided anew after an upgrade."""
    live = server.create(minimal(kind.name))[1]
    stored, written = parse(live, strict=True), parse(minimal(kind.name), strict=True)
    assert _spec(stored) == _spec(written)


def _spec(resource: Any) -> dict[str, Any]:
    content: dict[str, Any] = resource.spec.model_dump(mode="json", exclude_none=True)
    return content


def test_scale_works_on_the_shortest_object(server: _Server) -> None:
    """An autoscaler reads and writes replicas without knowing our kind."""
    manifest = minimal("ModelDeployment")
    manifest["metadata"]["name"] = "scaled"
    assert server.create(manifest, dry_run=False)[0] == _CREATED
    scale = server.ask("GET", _path("ModelDeployment", "scaled", "scale"))[1]
    assert scale["spec"]["replicas"] == 1
    scale["spec"]["replicas"] = 4
    assert server.ask("PUT", _path("ModelDeployment", "scaled", "scale"), json=scale)[0] == 200
    live = parse(server.ask("GET", _path("ModelDeployment", "scaled"))[1], strict=False)
    assert isinstance(live, ModelDeployment)
    assert live.spec.replicas == 4


def test_status_is_kept_as_it_was_written(server: _Server) -> None:
    """Neither pruned nor filled up: else the operator would write it again and again."""
    manifest = minimal("ModelDeployment")
    manifest["metadata"]["name"] = "reporting"
    live = server.create(manifest, dry_run=False)[1]
    live["status"] = _full_status().model_dump(mode="json", by_alias=True, exclude_none=True)
    path = _path("ModelDeployment", "reporting", "status")
    code, reply = server.ask("PUT", path, params={"fieldValidation": "Strict"}, json=live)
    assert code == 200, reply
    assert reply["status"] == live["status"]


def test_a_resource_that_nobody_has_looked_at_says_so(server: _Server) -> None:
    """By a generation older than its own: tools that wait for statuses would else take it for done."""
    manifest = minimal("Consumer")
    manifest["metadata"]["name"] = "fresh"
    manifest["status"] = {"observedGeneration": 7}
    server.create(manifest, dry_run=False)
    live = server.ask("GET", _path("Consumer", "fresh"))[1]
    assert (live["metadata"]["generation"], live["status"]) == (1, {"observedGeneration": 0})


def _full_status() -> ModelDeploymentStatus:
    condition = Condition(type="Ready", status=ConditionStatus.UNKNOWN, reason="Pending")
    plan = PlanStatus(pool="h100-eu", kv_tokens=2**40, cost_per_hour="23.60 USD")
    return ModelDeploymentStatus(
        conditions=(condition,), plan=plan, next_plan=PlanStatus(), rejected=(RejectedAlternative(reason="NoRoom"),)
    )


def test_a_gateways_driver_stays(server: _Server) -> None:
    """A rule about a change, which only the API server sees."""
    manifest = minimal("InferenceGateway", driver="LiteLLM")
    manifest["metadata"]["name"] = "entry"
    live = server.create(manifest, dry_run=False)[1]
    live["spec"]["driver"] = "GatewayAPI"
    code, reply = server.ask("PUT", _path("InferenceGateway", "entry"), json=live)
    assert code == _INVALID
    assert "Make a second InferenceGateway" in reply["message"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_short_names_and_columns(server: _Server, kind: Kind) -> None:
    """`kubectl get` by the short name shows the columns of the table."""
    path = _path(kind.name).replace("/namespaces/default", "")
    table = server.ask("GET", path, headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})[1]
    shown = [column["name"] for column in table["columnDefinitions"]]
    assert shown == ["Name", *(column.name for column in kind.columns)]
    assert server.plane.kubectl("get", kind.short_name, "--all-namespaces", "-o", "name") is not None
