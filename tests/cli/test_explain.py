"""`penstock explain` on files and on a cluster: the tree, what came near, and who is in a pool."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from builders.day_two import chat, condition, data_of, h100_pool, installed, invoke
from builders.fleet_files import DEPLOYMENT, POOL, changed, named, run_on
from penstock.cli.explain import explain
from penstock.cli.explanation import explain_live_deployment
from penstock.cluster.fake import FakeAPIServer
from penstock.planner.decision_tree import compressed

FLEET = (
    POOL,
    named(POOL, "spare", price={"perGPUHour": "4.00"}),
    named(POOL, "abroad", location={"countries": ["US"]}),
    changed(DEPLOYMENT, placement={"jurisdictions": ["EU"]}),
    named(DEPLOYMENT, "homeless", placement={"jurisdictions": ["JP"]}),
)


def test_a_placed_deployment_shows_its_way_and_the_next_best(tmp_path: Path) -> None:
    result = run_on(explain, tmp_path, *FLEET, words=("md/chat", "-o", "json"))
    assert result.exit_code == 0, result.output
    content = data_of(result)
    assert (content["kind"], content["name"], content["settled"]) == ("ModelDeployment", "team/chat", True)
    taken, *others = content["tree"]
    assert (taken["label"], taken["chosen"]) == ("h100", True)
    assert {each["label"]: each["chosen"] for each in others}["spare"] is False
    assert content["runnerUp"]["pool"] == "spare"
    assert [each["pool"] for each in content["nearest"]] == ["abroad"]


def test_one_is_counted_as_one(tmp_path: Path) -> None:
    facts = data_of(run_on(explain, tmp_path, POOL, DEPLOYMENT, words=("md/chat", "-o", "json")))["facts"]
    assert "model Qwen/Qwen3-8B, 1 of 1 replica has a node" in facts


def test_a_load_that_takes_more_replicas_is_a_fact(tmp_path: Path) -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 100}
    growing = changed(DEPLOYMENT, workload={"requestsPerSecond": "100"}, scaling=scaling)
    facts = data_of(run_on(explain, tmp_path, POOL, growing, words=("md/chat", "-o", "json")))["facts"]
    assert any(fact.startswith("the load takes ") and "and 1 is asked for" in fact for fact in facts)


def test_a_pipe_gets_indented_lines(tmp_path: Path) -> None:
    lines = run_on(explain, tmp_path, *FLEET, words=("modeldeployment/team/chat",)).stdout.splitlines()
    assert lines[0] == "ModelDeployment team/chat"
    assert lines[1].startswith("Placed: 1 replica in pool h100")
    assert any(line.startswith("* h100") for line in lines)
    assert any(line.lstrip().startswith("* TP1: Chosen") for line in lines)
    assert any(
        line.startswith("abroad: OutsideJurisdiction: all of its countries must lie inside EU") for line in lines
    )
    assert any(line.startswith("next best: spare BF16 vLLM TP1: CostsMore: 4.00 USD/h") for line in lines)


def test_without_a_place_the_nearest_says_what_would_have_to_change(tmp_path: Path) -> None:
    result = run_on(explain, tmp_path, *FLEET, words=("md/homeless",))
    assert result.exit_code == 2
    near = [line for line in result.stdout.splitlines() if line.startswith("nearest: ")]
    assert {line.split()[1].rstrip(":") for line in near} == {"h100", "spare", "abroad"}
    assert all("must lie inside JP" in line for line in near)


@pytest.mark.parametrize("columns", [80, 160])
def test_terminals_get_a_tree_that_fits(tmp_path: Path, columns: int) -> None:
    big = changed(DEPLOYMENT, model="meta-llama/Llama-3.3-70B-Instruct")
    out = run_on(explain, tmp_path, POOL, big, words=("md/chat",), columns=columns).stdout
    assert max(map(cell_len, out.splitlines())) <= columns
    assert any(line.startswith("* h100") for line in out.splitlines())
    assert "├── * TP4: Chosen" in out
    assert "WeightsDoNotFit" in out


def test_a_pool_says_who_is_there_and_why_others_are_not(tmp_path: Path) -> None:
    result = run_on(explain, tmp_path, *FLEET, words=("pool/spare", "-o", "json"))
    assert result.exit_code == 0
    assert {each["label"]: each["reason"] for each in data_of(result)["tree"]} == {
        "team/chat": "CostsMore",
        "team/homeless": "OutsideJurisdiction",
    }
    here = run_on(explain, tmp_path, *FLEET, words=("gpupool/h100",)).stdout
    assert "* team/chat: Here: 1 x 1 GPU, BF16, 2.50 USD per hour" in here
    assert "1 of 8 GPUs planned" in here


def test_sizes_too_small_for_the_weights_share_a_line_and_programs_read_each(tmp_path: Path) -> None:
    big = changed(DEPLOYMENT, model="deepseek-ai/DeepSeek-R1", engine="vLLM")
    out = run_on(explain, tmp_path, POOL, big, words=("md/chat",)).stdout
    assert [line.split(": ")[0] for line in out.splitlines() if "WeightsDoNotFit" in line and "TP1" in line] == [
        "h100 FP8 vLLM TP8, TP4, TP2, TP1"
    ]
    (tree,) = data_of(run_on(explain, tmp_path, POOL, big, words=("md/chat", "-o", "json")))["tree"]
    (precision,) = tree["branches"]
    (engine,) = precision["branches"]
    assert [each["label"] for each in engine["branches"]] == ["TP8", "TP4", "TP2", "TP1"]


TWINS = (POOL, DEPLOYMENT, {**DEPLOYMENT, "metadata": {"name": "chat", "namespace": "other"}})
REFUSED: dict[str, tuple[tuple[Any, ...], tuple[str, ...], str]] = {
    "no kind": (FLEET, ("chat",), "Write it as in md/assistants/llama-70b"),
    "another kind": (FLEET, ("route/chat",), "is no deployment or pool"),
    "too many parts": (FLEET, ("md/a/b/c",), "is no deployment or pool"),
    "no such deployment": (FLEET, ("md/chatty",), "There is: team/chat, team/homeless"),
    "no such pool": (FLEET, ("pool/b200",), "There is: abroad, h100, spare"),
    "a name in two namespaces": (TWINS, ("md/chat",), "Name one by -n"),
    "two namespaces": (TWINS, ("md/team/chat", "-n", "other"), "is another than team"),
    "fields that are not acted on": (
        (POOL, changed(DEPLOYMENT, adapters=[{"name": "a", "source": "a/b"}])),
        ("md/chat",),
        "spec.adapters",
    ),
}


@pytest.mark.parametrize(("documents", "words", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_explained_is_exit_code_2(
    tmp_path: Path, documents: tuple[Any, ...], words: tuple[str, ...], says: str
) -> None:
    result = run_on(explain, tmp_path, *documents, words=words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


def test_what_requires_prefill_and_decode_apart_shows_the_layout_of_each_pool(tmp_path: Path) -> None:
    apart = changed(
        DEPLOYMENT,
        model="deepseek-ai/DeepSeek-R1",
        workload={"requestsPerSecond": "20", "promptTokens": 8000, "outputTokens": 1000},
        disaggregation={"mode": "Required"},
    )
    big = named(POOL, "big", accelerator="H200-SXM-141GB")
    linked = named(big, "linked", fabric={"rdmaResource": "rdma/ib"}, price={"perGPUHour": "9.00"})
    result = run_on(explain, tmp_path, POOL, big, linked, apart, words=("md/chat",))
    assert result.exit_code == 2
    assert "`spec.disaggregation.mode` 'Required'" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[1].startswith("NotSupported: `spec.disaggregation.mode`")
    assert "planned apart it would be " in result.stdout
    assert any(line.startswith("* linked FP8 SGLang: PrefillDecodeApart: ") for line in lines)
    assert any(line.startswith("big FP8 SGLang: ") and "not be chosen: pool big states no" in line for line in lines)
    assert any(line.startswith("nearest: h100 FP8 SGLang TP8: WeightsDoNotFit") for line in lines)


def test_a_namespace_tells_twins_apart(tmp_path: Path) -> None:
    result = run_on(explain, tmp_path, *TWINS, words=("md/chat", "-n", "other", "-o", "json"))
    assert data_of(result)["name"] == "other/chat"


def test_without_files_and_cluster_it_says_what_to_give() -> None:
    result = CliRunner(env={"KUBECONFIG": "/nowhere"}).invoke(explain, ["md/chat"])
    assert result.exit_code == 2
    assert "give files by -f, or a cluster" in result.stderr


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as made:
        yield made


def live_chat() -> dict[str, Any]:
    placed = condition("Placed", "True", "Kept", "1 replica in pool h100")
    live = chat(condition("Accepted"), placed, condition("Ready", "False", "Loading", "weights are read"))
    live["status"]["plan"] |= {"accelerator": "H100-SXM-80GB", "tensorParallel": 1}
    live["status"]["rejected"] = [
        {
            "pool": "spare",
            "precision": "BF16",
            "engine": "vLLM",
            "tensorParallel": 1,
            "reason": "CostsMore",
            "message": "4",
        },
        {"pool": "old", "reason": "AReasonOfAnotherRelease", "message": "who knows"},
    ]
    return live


async def test_a_cluster_is_read_by_what_its_statuses_say(server: FakeAPIServer, tmp_path: Path) -> None:
    result = await invoke(explain, installed(server, h100_pool(), live_chat()), tmp_path, "md/chat", "-o", "json")
    assert result.exit_code == 0, result.output
    content = data_of(result)
    assert content["outcome"] == "Kept: 1 replica in pool h100"
    assert [(each["label"], each["chosen"]) for each in content["tree"]] == [
        ("h100", True),
        ("spare", False),
        ("old", False),
    ]
    assert content["runnerUp"]["pool"] == "spare"
    assert "Ready=False: Loading: weights are read" in content["facts"]


def test_what_the_operator_proposes_and_engines_report_is_told() -> None:
    live = live_chat()
    live["status"] |= {
        "proposal": {"pool": "spare", "savingPerHour": "1.50 USD", "message": ""},
        "reported": {"kvTokens": 300_000, "loadSeconds": 90},
        "failed": [{"pool": "old", "reason": "OutOfMemory"}],
    }
    found = explain_live_deployment(live)
    assert "proposed instead: pool spare, saving per hour 1.50 USD" in found.facts
    assert "the engines report: kv tokens 300000, load seconds 90" in found.facts
    assert "given up: pool old, reason OutOfMemory" in found.facts


def test_a_status_names_the_layouts_and_one_of_an_older_release_the_sizes() -> None:
    live = live_chat()
    live["status"]["plan"] |= {"tensorParallel": 2, "layout": "TP2xPP4"}
    live["status"]["rejected"][0] |= {"tensorParallel": 8, "layout": "TP8 DP8"}
    live["status"]["rejected"].append({"pool": "new", "tensorParallel": 4, "reason": "CostsMore"})
    labels = [compressed(each).label for each in explain_live_deployment(live).tree]
    assert [label.split(" ", 1)[-1] for label in labels] == ["BF16 vLLM TP2xPP4", "BF16 vLLM TP8 DP8", "old", "TP4"]


async def test_a_deployment_that_nobody_looked_at_yet_is_not_settled(server: FakeAPIServer, tmp_path: Path) -> None:
    fresh = {**DEPLOYMENT, "status": {}}
    result = await invoke(explain, installed(server, fresh), tmp_path, "md/chat")
    assert result.exit_code == 2
    assert "the operator has not looked at it yet" in result.stdout


async def test_a_pool_of_a_cluster_says_who_is_there(server: FakeAPIServer, tmp_path: Path) -> None:
    other = chat(name="other")
    other["status"]["plan"]["pool"] = "spare"
    other["status"]["rejected"] = [{"pool": "h100", "reason": "NoFreeGPUs", "message": "all are taken"}]
    result = await invoke(explain, installed(server, h100_pool(), live_chat(), other), tmp_path, "pool/h100")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1] == "4 of 16 GPUs taken, 12 free, 40.00 USD per hour"
    assert any(line.startswith("* assistants/chat: Here") for line in lines)
    assert "assistants/other: NoFreeGPUs: all are taken" in lines


async def test_what_may_not_be_read_is_a_sentence(server: FakeAPIServer, tmp_path: Path) -> None:
    installed(server, h100_pool(), live_chat())
    server.faults.fail(403, verbs="list", kinds="modeldeployments")
    result = await invoke(explain, server, tmp_path, "md/chat")
    assert result.exit_code == 2
    assert "you may not list" in result.stderr
