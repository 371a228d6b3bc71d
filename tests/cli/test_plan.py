"""`penstock plan` on files: what it prints, its exit codes, and that every refusal is told."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from builders.fleet_files import DEPLOYMENT, NODE, POOL, changed, named, run_on
from penstock.cli.plan import plan
from penstock.hub.client import Hub, HubAnswer, HubQuestion


def run(folder: Path, *documents: Any, options: tuple[str, ...] = ()) -> Result:
    return run_on(plan, folder, *documents, words=options)


def test_people_read_where_it_goes_and_what_lost(tmp_path: Path) -> None:
    result = run(tmp_path, POOL, named(POOL, "other", price={"perGPUHour": "4.00"}), DEPLOYMENT)
    assert result.exit_code == 0, result.output
    assert (
        "team/chat: Placed: 1 replica in pool h100, each vLLM BF16 on 1 x H100-SXM-80GB at 2.50 USD/h" in result.output
    )
    assert "memory per GPU: weights 15.3 GiB" in result.output
    assert "not other vLLM BF16 TP1: CostsMore: 4.00 USD/h per replica, 1.50 USD/h more than h100" in result.output


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_read_the_same(tmp_path: Path, form: str) -> None:
    result = run(tmp_path, POOL, changed(DEPLOYMENT, replicas=2), options=("-o", form))
    content = json.loads(result.output) if form == "json" else yaml.safe_load(result.output)
    (one,) = content["deployments"]
    assert one["placed"] is True
    assert one["plan"]["pool"] == "h100"
    assert one["plan"]["pricePerHour"] == "5.00 USD"
    assert one["plan"]["kvTokens"] >= one["plan"]["maxContextTokens"]
    memory = one["plan"]["memoryPerGPU"]
    taken = memory["weights"] + memory["activations"] + memory["overhead"] + memory["kvCache"]
    assert taken <= memory["total"] * memory["utilizationPercent"] / 100
    assert one["nodes"] == ["h100-assumed-0", "h100-assumed-0"]


def test_what_fits_nowhere_is_exit_code_2(tmp_path: Path) -> None:
    result = run(tmp_path, POOL, changed(DEPLOYMENT, placement={"jurisdictions": ["US"]}))
    assert result.exit_code == 2
    assert "all of its countries must lie inside US; its countries are DE" in result.output


def test_missing_replicas_are_exit_code_2(tmp_path: Path) -> None:
    assert run(tmp_path, POOL, changed(DEPLOYMENT, replicas=9)).exit_code == 2
    assert run(tmp_path, POOL, changed(DEPLOYMENT, replicas=9), options=("--nodes-per-pool", "2")).exit_code == 0


def test_only_replicas_that_have_a_place_are_paid_for(tmp_path: Path) -> None:
    content = json.loads(run(tmp_path, POOL, changed(DEPLOYMENT, replicas=12), options=("-o", "json")).stdout)
    (one,) = content["deployments"]
    assert (one["replicas"], one["placedReplicas"], one["plan"]["pricePerHour"]) == (12, 8, "20.00 USD")
    assert content["pricePerHour"] == ["20.00 USD"]


GROWING = changed(
    DEPLOYMENT,
    workload={"requestsPerSecond": "100"},
    serviceLevel={"timePerOutputTokenMilliseconds": 20},
    scaling={"minReplicas": 1, "maxReplicas": 100},
)


def test_what_is_asked_for_and_what_the_load_takes_stand_apart(tmp_path: Path) -> None:
    (one,) = json.loads(run(tmp_path, POOL, GROWING, options=("-o", "json")).stdout)["deployments"]
    needed = one["plan"]["replicasForLoad"]
    assert needed > one["replicas"] == 1
    assert one["plan"]["pricePerHour"] == one["plan"]["pricePerReplicaHour"]
    price = f"{2.5 * one['plan']['gpusPerReplica'] * needed:.2f} USD"
    assert one["plan"]["pricePerHourAtLoad"] == price
    assert one["expected"]["requestsPerSecond"] == pytest.approx(100 / needed, abs=1e-3)
    says = f"the load takes {needed} replicas ({price} per hour), and 1 is asked for"
    for form in ("table", "markdown"):
        result = run(tmp_path, POOL, GROWING, options=("-o", form))
        assert says in result.stdout
        assert result.exit_code == 0
    assert f" 1/1 of {needed} " in run_on(plan, tmp_path, POOL, GROWING, columns=200).stdout
    enough = {**GROWING, "spec": {**GROWING["spec"], "replicas": needed}}
    followed = run(tmp_path, POOL, enough, options=("-o", "json", "--nodes-per-pool", "9")).stdout
    assert "replicasForLoad" not in json.loads(followed)["deployments"][0]["plan"]
    assert "the load takes" not in followed


def test_nodes_of_the_files_count_instead_of_assumed_ones(tmp_path: Path) -> None:
    busy = {**NODE, "metadata": {**NODE["metadata"], "name": "down"}, "status": {**NODE["status"], "conditions": []}}
    listed = {"apiVersion": "v1", "kind": "NodeList", "items": [NODE, busy]}
    result = run(tmp_path, POOL, listed, changed(DEPLOYMENT, replicas=9), options=("-o", "json"))
    assert json.loads(result.output)["deployments"][0]["nodes"] == ["one"] * 8
    assert result.exit_code == 2


def test_a_namespace_of_the_files_opens_a_pool_that_selects_it(tmp_path: Path) -> None:
    allowed = {"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": {"tier": "gold"}}}
    closed = changed(POOL, allowedNamespaces=allowed)
    assert run(tmp_path, closed, DEPLOYMENT).exit_code == 2
    assert run(tmp_path, closed, namespace, DEPLOYMENT).exit_code == 0


def test_an_accelerator_may_be_named_or_told_by_the_node_selector(tmp_path: Path) -> None:
    unnamed = {**POOL, "spec": {key: value for key, value in POOL["spec"].items() if key != "accelerator"}}
    nameless = run(tmp_path, unnamed, DEPLOYMENT)
    assert nameless.exit_code == 2
    assert "spec.accelerator" in nameless.output
    assert run(tmp_path, unnamed, DEPLOYMENT, options=("--accelerator", "h100=H100-SXM-80GB")).exit_code == 0
    told = changed(unnamed, nodeSelector={"cloud.google.com/gke-accelerator": "nvidia-b200"})
    assert "B200" in run(tmp_path, told, DEPLOYMENT).output


BAD: dict[str, tuple[list[Any], str]] = {
    "a misspelt field": ([POOL, changed(DEPLOYMENT, replica=2)], "replica"),
    "a wrong type": ([POOL, changed(DEPLOYMENT, replicas="two")], "replicas"),
    "an accelerator that nobody knows": ([changed(POOL, accelerator="H1000"), DEPLOYMENT], "H1000"),
    "no deployment": ([POOL], "no ModelDeployment"),
    "no pool": ([DEPLOYMENT], "no InferencePool"),
    "the same deployment twice": ([POOL, DEPLOYMENT, DEPLOYMENT], "ModelDeployment team/chat is there twice"),
    "the same pool three times": ([POOL, POOL, POOL, DEPLOYMENT], "InferencePool h100 is there 3 times"),
    "the same node twice": ([POOL, NODE, NODE, DEPLOYMENT], "Node one is there twice"),
    "a node that is none": ([POOL, DEPLOYMENT, {**NODE, "metadata": ["one"]}], "as the API server writes it"),
    "a node without a name of text": ([POOL, DEPLOYMENT, {**NODE, "metadata": {"name": []}}], "needs a name"),
    "a node with fewer than no GPUs": (
        [POOL, DEPLOYMENT, {**NODE, "status": {**NODE["status"], "capacity": {"nvidia.com/gpu": "-8"}}}],
        "a number of GPUs is negative",
    ),
    "a price in words": ([changed(POOL, price={"perGPUHour": "abc"}), DEPLOYMENT], "'abc'"),
    "a negative price": ([changed(POOL, price={"perGPUHour": "-1"}), DEPLOYMENT], "'-1'"),
    "a ceiling in words": (
        [POOL, changed(DEPLOYMENT, placement={"maxPricePerReplicaHour": {"amount": "abc"}})],
        "spec.placement.maxPricePerReplicaHour.amount",
    ),
    "a context below prompt and answer": (
        [POOL, changed(DEPLOYMENT, workload={"promptTokens": 900, "outputTokens": 900, "maxContextTokens": 1000})],
        "maxContextTokens",
    ),
    "10^12 requests a second": (
        [POOL, changed(DEPLOYMENT, workload={"requestsPerSecond": "1000000000000"})],
        "requestsPerSecond",
    ),
    "a field that is not acted on": (
        [POOL, DEPLOYMENT, named(DEPLOYMENT, "x", adapters=[{"name": "a", "source": "a/b"}])],
        "spec.adapters",
    ),
    "text": ([POOL, "hello"], "must be an object"),
}


@pytest.mark.parametrize(("documents", "says"), BAD.values(), ids=BAD)
def test_bad_input_is_exit_code_2_and_told(tmp_path: Path, documents: list[Any], says: str) -> None:
    result = run(tmp_path, *documents)
    assert result.exit_code == 2, result.output
    assert says in result.output


def test_what_is_not_acted_on_yet_leaves_the_rest_planned(tmp_path: Path) -> None:
    documents, _ = BAD["a field that is not acted on"]
    assert "team/chat: Placed" in run(tmp_path, *documents).stdout


UNPLACED: dict[str, tuple[list[Any], str]] = {
    "a model that nobody knows": ([POOL, changed(DEPLOYMENT, model="nobody/knows-it")], "ModelUnknown"),
    "half a config": (
        [POOL, changed(DEPLOYMENT, model="my/own", metadata={"config": '{"model_type": "qwen3", "hidden_size": 64}'})],
        "`num_hidden_layers`",
    ),
    "a context beyond the model's": (
        [POOL, changed(DEPLOYMENT, workload={"maxContextTokens": 1_000_000})],
        "asks for 1,000,000 tokens, the model reads",
    ),
    "a service level that no hardware meets": (
        [
            POOL,
            changed(
                DEPLOYMENT,
                model="meta-llama/Llama-3.3-70B-Instruct",
                serviceLevel={"timePerOutputTokenMilliseconds": 1},
            ),
        ],
        "ServiceLevelOutOfReach",
    ),
    "more requests than a replica holds": (
        [POOL, changed(DEPLOYMENT, workload={"requestsPerSecond": "999999999999"})],
        "LoadDoesNotFit",
    ),
    "a ceiling in another currency": (
        [POOL, changed(DEPLOYMENT, placement={"maxPricePerReplicaHour": {"amount": "9.00", "currency": "EUR"}})],
        "the ceiling in EUR",
    ),
    "nodes without GPUs": (
        [POOL, {**NODE, "status": {**NODE["status"], "capacity": {}, "allocatable": {}}}, DEPLOYMENT],
        "no node with GPUs",
    ),
}


@pytest.mark.parametrize(("documents", "says"), UNPLACED.values(), ids=UNPLACED)
def test_what_has_no_place_is_exit_code_2_and_told(tmp_path: Path, documents: list[Any], says: str) -> None:
    result = run(tmp_path, *documents)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert "0 of 1 deployment placed" in result.output


def test_broken_yaml_is_told(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("a: [")
    result = CliRunner().invoke(plan, ["-f", str(file)])
    assert result.exit_code == 2
    assert "cannot be read as YAML" in result.stderr


def test_the_hub_answers_for_an_unknown_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.loads((Path(__file__).parent / "qwen3-8b-config.json").read_text())

    async def facts(_hub: Hub, question: HubQuestion) -> HubAnswer:
        assert question == HubQuestion("nobody/knows-it", token="secret")
        return HubAnswer(config=config, weights_bytes=16_381_470_720, resolved_revision="abc")

    monkeypatch.setattr(Hub, "facts", facts)
    result = run(
        tmp_path,
        POOL,
        changed(DEPLOYMENT, model="nobody/knows-it"),
        options=("--hub", "--token", "secret", "-o", "json"),
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["deployments"][0]["plan"]["revision"] == "abc"


APART = changed(
    DEPLOYMENT,
    model="deepseek-ai/DeepSeek-R1",
    workload={"requestsPerSecond": "20", "promptTokens": 8000, "outputTokens": 1000},
    serviceLevel={"timePerOutputTokenMilliseconds": 50},
    disaggregation={"mode": "Required"},
)
LINKED = changed(POOL, accelerator="H200-SXM-141GB", fabric={"rdmaResource": "rdma/ib"})


def test_what_requires_prefill_and_decode_apart_stays_refused_and_shows_its_layout(tmp_path: Path) -> None:
    result = run(tmp_path, LINKED, APART, options=("-o", "json"))
    assert result.exit_code == 2
    (refused,) = json.loads(result.stdout)["refused"]
    found = refused["prefillDecode"]
    workers = {kind: found[kind]["workers"] for kind in ("prefill", "decode")}
    assert found["layout"] == f"{workers['prefill']}P{workers['decode']}D"
    each = sum(found[kind]["workers"] * found[kind]["gpusPerWorker"] for kind in workers)
    assert found["gpus"] == each * found["units"] > 0
    assert found["pricePerHour"] == f"{2.5 * found['gpus']:.2f} USD"
    assert found["pricePerHourTogether"] == f"{2.5 * found['gpusTogether']:.2f} USD"
    for form in ("table", "markdown"):
        out = run(tmp_path, LINKED, APART, options=("-o", form)).stdout
        assert "spec.disaggregation.mode" in out
        assert f"planned apart it would be {found['layout']} (prefill TP" in out.replace(f"{found['units']} x ", "")
        assert f"{found['gpus']} x H200-SXM-141GB at {found['pricePerHour']}/h" in out
        assert f"together {found['gpusTogether']} GPUs at {found['pricePerHourTogether']}/h" in out


def test_where_nothing_fits_apart_it_says_why(tmp_path: Path) -> None:
    result = run(tmp_path, changed(POOL, accelerator="L4-24GB"), APART)
    assert result.exit_code == 2
    assert "no layout with prefill and decode apart: it fits nowhere: h100: " in result.stdout


def test_other_refusals_have_no_layout(tmp_path: Path) -> None:
    adapters = changed(DEPLOYMENT, adapters=[{"name": "a", "source": "a/b"}])
    result = run(tmp_path, POOL, adapters, options=("-o", "json"))
    assert [each["prefillDecode"] for each in json.loads(result.stdout)["refused"]] == [None]


def test_a_terminal_tells_alike_assumptions_once_and_keeps_names_whole(tmp_path: Path) -> None:
    name = "a-deployment-with-a-long-name"
    documents = (POOL, named(POOL, "other"), named(DEPLOYMENT, name))
    narrow = run_on(plan, tmp_path, *documents, columns=80).stdout.splitlines()
    assert any(line.startswith(f"team/{name} ") for line in narrow)
    lines = run_on(plan, tmp_path, *documents, columns=160).stdout.splitlines()
    assert sum("assumed (--nodes-per-pool" in line for line in lines) == 1
    assert any(line.startswith("in each of the pools h100, other: 1 free node of 8 GPUs") for line in lines)
