"""`penstock plan` against what runs: a former plan, kubectl's output, a cluster; and how it reads in three forms."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from rich.cells import cell_len

from builders.day_two import chat, data_of, h100_pool, installed, invoke, resource
from builders.fleet_files import DEPLOYMENT, NODE, POOL, changed, named, run_on
from penstock.cli.plan import plan
from penstock.cluster.fake import FakeAPIServer

BEFORE = (POOL, named(POOL, "spare", price={"perGPUHour": "4.00"}), DEPLOYMENT, named(DEPLOYMENT, "gone"))
AFTER = (
    named(POOL, "h100", price={"perGPUHour": "5.00"}),
    named(POOL, "spare", price={"perGPUHour": "4.00"}),
    DEPLOYMENT,
    named(DEPLOYMENT, "fresh", replicas=2),
    named(DEPLOYMENT, "homeless", placement={"jurisdictions": ["US"]}),
)


@pytest.fixture
def former(tmp_path: Path) -> Path:
    result = run_on(plan, tmp_path, *BEFORE, words=("-o", "json"))
    assert result.exit_code == 0, result.output
    file = tmp_path / "former.json"
    file.write_text(result.stdout)
    return file


def test_a_former_plan_is_compared_with(tmp_path: Path, former: Path) -> None:
    result = run_on(plan, tmp_path, *AFTER, words=("--current", str(former), "-o", "json"))
    content = data_of(result)
    assert [(each["name"], each["change"]) for each in content["changes"]] == [
        ("homeless", "Unplaced"),
        ("fresh", "New"),
        ("chat", "Moved"),
        ("gone", "Gone"),
    ]
    moved = content["changes"][2]
    assert (moved["before"]["pool"], moved["after"]["pool"]) == ("h100", "spare")
    assert "h100 BF16 TP1: CostsMore" in moved["why"]
    assert content["pricePerHourBefore"] == ["5.00 USD"]
    assert content["pricePerHour"] == ["12.00 USD"]
    assert content["pricePerHourDifference"] == ["7.00 USD"]
    assert result.exit_code == 2


def test_the_same_plan_changes_nothing(tmp_path: Path, former: Path) -> None:
    result = run_on(plan, tmp_path, *BEFORE, words=("--current", str(former), "-o", "json"))
    content = data_of(result)
    assert {each["change"] for each in content["changes"]} == {"Same"}
    assert "no change" in content["summary"]
    out = run_on(plan, tmp_path, *BEFORE, words=("--current", str(former)), columns=120).stdout
    assert "Changes\nnothing changes\n" in out


def test_gpus_without_a_price_are_counted_on_both_sides(tmp_path: Path) -> None:
    unpriced = {**POOL, "spec": {key: value for key, value in POOL["spec"].items() if key != "price"}}
    large = named(DEPLOYMENT, "large", replicas=2, placement={"pools": ["bare"]})
    former = tmp_path / "former.json"
    former.write_text(run_on(plan, tmp_path, unpriced, DEPLOYMENT, words=("-o", "json")).stdout)
    assert json.loads(former.read_text())["summary"] == "1 of 1 deployment placed on 1 GPU, no price known"
    documents = (POOL, named(unpriced, "bare"), changed(DEPLOYMENT, placement={"pools": ["h100"]}), large)
    content = data_of(run_on(plan, tmp_path, *documents, words=("--current", str(former), "-o", "json")))
    assert content["summary"] == (
        "2 of 2 deployments placed on 3 GPUs, 2.50 USD per hour, and 2 GPUs without a price"
        " (before: no price known; +2.50 USD, +1 GPU without a price), 2 changed"
    )
    assert (content["gpusWithoutPriceBefore"], content["gpusWithoutPrice"]) == (1, 2)


def test_where_nothing_is_taken_nothing_is_said_of_money(tmp_path: Path) -> None:
    homeless = AFTER[-1]
    (tmp_path / "none.yaml").write_text(listed())
    words = ("--current", str(tmp_path / "none.yaml"), "-o", "json")
    content = data_of(run_on(plan, tmp_path, POOL, homeless, words=words))
    assert content["summary"] == "0 of 1 deployment placed on 0 GPUs (before: nothing; no change), 1 changed"
    assert content["gpusWithoutPrice"] == 0


def test_a_plan_as_yaml_is_read_as_well(tmp_path: Path, former: Path) -> None:
    former.write_text(yaml.safe_dump(json.loads(former.read_text())))
    result = run_on(plan, tmp_path, *BEFORE, words=("--current", str(former), "-o", "json"))
    assert {each["change"] for each in data_of(result)["changes"]} == {"Same"}


def test_a_comment_on_a_pull_request_says_what_matters_first(tmp_path: Path, former: Path) -> None:
    result = run_on(plan, tmp_path, *AFTER, words=("--current", str(former), "-o", "markdown"))
    lines = result.stdout.splitlines()
    assert lines[0] == "<!-- penstock plan -->"
    sentence = (
        "2 of 3 deployments placed on 3 GPUs, 12.00 USD per hour (before: 5.00 USD per hour; +7.00 USD), 4 changed"
    )
    assert sentence in lines[1]
    order = [result.stdout.index(part) for part in ("### Cannot be placed", "### Changes", "<details>", "assumed")]
    assert order == sorted(order)
    assert "all of its countries must lie inside US; its countries are DE" in result.stdout
    (moved,) = [line for line in lines if line.startswith("| moved |")]
    assert "| 2.50 USD -> 4.00 USD |" in moved
    assert moved.count("|") == 7


@pytest.mark.parametrize("columns", [80, 160])
def test_terminals_get_tables_that_fit(tmp_path: Path, former: Path, columns: int) -> None:
    result = run_on(plan, tmp_path, *AFTER, words=("--current", str(former)), columns=columns)
    lines = result.stdout.splitlines()
    assert max(map(cell_len, lines)) <= columns
    moved = next(line for line in lines if line.startswith("moved"))
    assert {"team/chat", "2.50", "4.00"} <= set(moved.split())
    deployments = next(line for line in lines if line.startswith("DEPLOYMENT"))
    assert ("PER MTOK IN+OUT" in deployments) is (columns == 160)
    assert "PER HOUR" in deployments
    assert "2 of 3 deployments placed" in result.stdout


def test_a_pipe_gets_a_line_per_change(tmp_path: Path, former: Path) -> None:
    lines = run_on(plan, tmp_path, *AFTER, words=("--current", str(former))).stdout.splitlines()
    assert lines[1].startswith("new team/fresh: - -> spare: 2 x 1 H100-SXM-80GB, BF16; - -> 8.00 USD: ")
    assert lines[-1].startswith("2 of 3 deployments placed")


def listed(*items: dict[str, Any]) -> str:
    return yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": list(items)})


def test_what_kubectl_prints_is_compared_with(tmp_path: Path) -> None:
    live = chat(namespace="team")
    live["status"]["plan"] |= {"accelerator": "H100-SXM-80GB", "tensorParallel": 1, "costPerReplicaHour": "2.50 USD"}
    starting = resource("ModelDeployment", "starting", "team", spec={"model": "Qwen/Qwen3-8B"})
    file = tmp_path / "live.yaml"
    file.write_text(listed(live, starting))
    wanted = changed(DEPLOYMENT, replicas=3)
    result = run_on(plan, tmp_path, POOL, wanted, words=("--current", str(file), "-o", "json"))
    (change,) = data_of(result)["changes"]
    assert (change["change"], change["why"]) == ("Scaled", "2 -> 3 replicas")
    assert change["before"]["pricePerHour"] == "5.00 USD"


CURRENT = {
    "empty": ("", "it is empty"),
    "no YAML": ("a: [", "cannot be read as YAML"),
    "something else": ("hello", "is not what is compared with"),
    "another kind": (listed(POOL), "is not what is compared with"),
    "half a plan": (
        '{"format": 1, "deployments": [{"namespace": "a", "name": "b", "nodes": ["n"], "plan": {}}]}',
        "`deployments[0].plan.pricePerReplicaHour` '': is required",
    ),
    "money in words": (
        '{"format": 1, "deployments": [{"name": "b", "nodes": ["n"], "plan": {"pricePerReplicaHour": "x USD"}}]}',
        "`deployments[0].plan.pricePerReplicaHour` 'x USD': is not accepted",
    ),
    "a plan of another format": (
        '{"format": 99, "deployments": []}',
        "`format` '99': is not accepted (Value error, this release reads format 1",
    ),
    "a plan without a format": ('{"deployments": []}', "`format` '': is required"),
    "nothing": ("null", "it is empty"),
    "a list of nothing": ('{"kind": "List", "items": null}', "the items of a List are no list"),
    "no deployments": ('{"format": 1}', "`deployments` '': is required"),
    "a deployment without a name": (listed({"kind": "ModelDeployment", "metadata": {}}), "`metadata.name` '': is requ"),
    "a status of words": (
        listed({"kind": "ModelDeployment", "metadata": {"name": "a"}, "status": "running"}),
        "`status` 'running': must be an object with fields",
    ),
    "a status with money in words": (
        listed(
            {
                "kind": "ModelDeployment",
                "metadata": {"name": "a"},
                "status": {"replicas": 1, "plan": {"costPerReplicaHour": "much"}},
            }
        ),
        "'much' is not a non-negative decimal number",
    ),
}


@pytest.mark.parametrize(("text", "says"), CURRENT.values(), ids=CURRENT)
def test_what_is_not_comparable_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "current"
    file.write_text(text)
    result = run_on(plan, tmp_path, POOL, DEPLOYMENT, words=("--current", str(file)))
    assert result.exit_code == 2
    assert says in result.stderr


def test_nothing_running_makes_everything_new(tmp_path: Path) -> None:
    file = tmp_path / "none.yaml"
    file.write_text(listed())
    result = run_on(plan, tmp_path, POOL, DEPLOYMENT, words=("--current", str(file), "-o", "json"))
    assert [each["change"] for each in data_of(result)["changes"]] == ["New"]


def test_pools_may_stand_in_files_of_their_own(tmp_path: Path) -> None:
    pools = tmp_path / "pools.yaml"
    pools.write_text(yaml.safe_dump_all([POOL, NODE]))
    result = run_on(plan, tmp_path, DEPLOYMENT, words=("--pools", str(pools), "-o", "json"))
    assert result.exit_code == 0, result.output
    assert data_of(result)["deployments"][0]["nodes"] == ["one"]
    assert data_of(result)["assumptions"] == []
    twice = run_on(plan, tmp_path, POOL, DEPLOYMENT, words=("--pools", str(pools)))
    assert twice.exit_code == 2
    assert "InferencePool h100 is there twice" in twice.stderr


def test_assumed_nodes_are_said(tmp_path: Path) -> None:
    result = run_on(plan, tmp_path, POOL, DEPLOYMENT, words=("--nodes-per-pool", "2"))
    assert "pool h100: 2 free nodes of 8 GPUs assumed" in result.stdout


def test_gpus_that_pods_of_others_hold_are_not_planned(tmp_path: Path) -> None:
    limits = {"resources": {"limits": {"nvidia.com/gpu": "7"}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "notebook", "namespace": "x"}}
    busy = {**pod, "spec": {"nodeName": "one", "containers": [limits]}, "status": {"phase": "Running"}}
    result = run_on(plan, tmp_path, POOL, NODE, busy, changed(DEPLOYMENT, replicas=2), words=("-o", "json"))
    (one,) = data_of(result)["deployments"]
    assert (one["placedReplicas"], one["placed"]) == (1, False)
    assert data_of(result)["pools"][0]["gpusHeldByOthers"] == 7


EUROS = named(POOL, "euros", price={"perGPUHour": "2.00", "currency": "EUR"})


def test_exchange_rates_make_the_total_one_sum(tmp_path: Path) -> None:
    fleet = (POOL, EUROS, DEPLOYMENT, named(DEPLOYMENT, "second", placement={"pools": ["h100"]}))
    result = run_on(plan, tmp_path, *fleet, words=("--exchange-rate", "EUR=1.10", "-o", "json"))
    assert [each["plan"]["pool"] for each in data_of(result)["deployments"]] == ["euros", "h100"]
    assert data_of(result)["pricePerHour"] == ["4.70 USD"]


def test_with_a_rate_a_pool_of_another_currency_is_taken_where_it_is_cheaper(tmp_path: Path) -> None:
    """Its message says by how much."""
    found = {}
    for rate in ("1.10", "1.30"):
        words = ("--exchange-rate", f"EUR={rate}", "-o", "json")
        (one,) = data_of(run_on(plan, tmp_path, POOL, EUROS, DEPLOYMENT, words=words))["deployments"]
        found[rate] = one["plan"]["pool"]
        lost = next(each for each in one["rejected"] if each["pool"] != found[rate])
        assert lost["reason"] == "CostsMore"
        assert "USD/h more than" in lost["message"]
    assert found == {"1.10": "euros", "1.30": "h100"}


def test_totals_are_exact_to_a_micro_unit(tmp_path: Path) -> None:
    dear = named(POOL, "euros", price={"perGPUHour": "0.333333", "currency": "EUR"})
    fleet = (dear, *(named(DEPLOYMENT, name) for name in ("one", "two", "three")))
    content = data_of(run_on(plan, tmp_path, *fleet, words=("-o", "json")))
    assert content["pricePerHour"] == ["0.999999 EUR"]


def test_without_a_rate_currencies_stay_apart(tmp_path: Path) -> None:
    fleet = (POOL, EUROS, DEPLOYMENT, named(DEPLOYMENT, "second", placement={"pools": ["h100"]}))
    content = data_of(run_on(plan, tmp_path, *fleet, words=("-o", "json")))
    assert content["pricePerHour"] == ["2.00 EUR", "2.50 USD"]


def test_a_budget_is_kept_and_says_who_has_no_place_for_it(tmp_path: Path) -> None:
    fleet = (POOL, DEPLOYMENT, named(DEPLOYMENT, "second"))
    result = run_on(plan, tmp_path, *fleet, words=("--max-price-per-hour", "4", "-o", "json"))
    assert result.exit_code == 2
    assert [each["placed"] for each in data_of(result)["deployments"]] == [True, False]
    assert "limit 'fleet' of 4.00 USD/h" in result.stdout
    assert run_on(plan, tmp_path, *fleet, words=("--max-price-per-hour", "5")).exit_code == 0


def test_a_budget_of_a_namespace_in_another_base(tmp_path: Path) -> None:
    """A PR is checked by what the operator was told."""
    other = {**DEPLOYMENT, "metadata": {**DEPLOYMENT["metadata"], "namespace": "other"}}
    money = ("--currency", "EUR", "--exchange-rate", "USD=0.80")
    limit = ("--namespace-max-price-per-hour", f"{DEPLOYMENT['metadata']['namespace']}=1.99")
    result = run_on(plan, tmp_path, POOL, DEPLOYMENT, other, words=(*money, *limit, "-o", "json"))
    found = {each["namespace"]: each["placed"] for each in data_of(result)["deployments"]}
    assert found == {DEPLOYMENT["metadata"]["namespace"]: False, "other": True}
    assert data_of(result)["pricePerHour"] == ["2.00 EUR"]
    assert "of 1.99 EUR/h leaves 1.99 EUR/h, a replica costs 2.50 USD/h" in result.stdout


OPTIONS = {
    "a budget in words": (("--max-price-per-hour", "abc"), "`--max-price-per-hour` 'abc'", "2.10EUR"),
    "a negative budget": (("--max-price-per-hour", "-4"), "`--max-price-per-hour` '-4'", "not negative"),
    "a rate of nothing": (("--exchange-rate", "1.08"), "`--exchange-rate` '1.08'", "EUR=1.08"),
    "a rate in words": (("--exchange-rate", "EUR=much"), "`--exchange-rate` 'EUR=much'", "above 0"),
    "a currency that is none": (("--exchange-rate", "euro=1.08"), "euro", "three capital letters"),
    "two rates for one": (
        ("--exchange-rate", "EUR=1.08", "--exchange-rate", "EUR=1.10"),
        "`--exchange-rate` 'EUR=1.10': EUR is given twice: 1.08 and 1.10",
        "Keep one",
    ),
    "a GPU type of no pool": (("--accelerator", "H100"), "`--accelerator` 'H100': is not POOL=NAME", "h100-eu="),
    "an accelerator that nobody knows": (("--accelerator", "h100=H1000"), "H1000", "Use one of"),
    "an accelerator of a pool that is not there": (
        ("--accelerator", "nosuch=H100-SXM-80GB"),
        "`--accelerator` 'nosuch': there is no InferencePool of this name",
        "Name one of h100",
    ),
    "two accelerators for one pool": (
        ("--accelerator", "h100=H100-SXM-80GB", "--accelerator", "h100=H200-SXM-141GB"),
        "h100 is given twice",
        "Keep one",
    ),
    "a limit of a namespace that is not there": (
        ("--namespace-max-price-per-hour", "nosuch=5"),
        "`--namespace-max-price-per-hour` 'nosuch': there is no namespace of this name",
        "Name one of team",
    ),
    "two limits for one namespace": (
        ("--namespace-max-price-per-hour", "team=5", "--namespace-max-price-per-hour", "team=6"),
        "team is given twice: 5 and 6",
        "Keep one",
    ),
    "nodes without GPUs": (("--gpus-per-node", "0"), "--gpus-per-node", "1<=x<=16"),
}


@pytest.mark.parametrize(("words", "what", "cure"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_cannot_be_acted_on_are_refused(
    tmp_path: Path, words: tuple[str, ...], what: str, cure: str
) -> None:
    result = run_on(plan, tmp_path, POOL, DEPLOYMENT, words=words)
    assert result.exit_code == 2
    assert what in result.stderr
    assert cure in result.stderr


def test_what_is_refused_is_told_apart_and_the_rest_is_planned(tmp_path: Path) -> None:
    refused = named(DEPLOYMENT, "tenants", adapters=[{"name": "a", "source": "a/b"}])
    result = run_on(plan, tmp_path, POOL, DEPLOYMENT, refused, words=("-o", "json"))
    (told,) = data_of(result)["refused"]
    assert (told["name"], told["refusals"][0]["field"]) == ("tenants", "spec.adapters")
    assert [each["placed"] for each in data_of(result)["deployments"]] == [True]
    assert result.exit_code == 2


def test_without_files_and_cluster_there_is_nothing_to_plan() -> None:
    result = CliRunner(env={"KUBECONFIG": "/nowhere"}).invoke(plan, [])
    assert result.exit_code == 2
    assert "give files by -f, or a cluster" in result.stderr


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as made:
        yield made


def live_node() -> dict[str, Any]:
    return {**NODE, "metadata": {"name": "one", "labels": {"pool": "h100", "nvidia.com/gpu.product": "NVIDIA-H200"}}}


async def test_a_cluster_is_planned_anew_and_compared_with_what_it_runs(server: FakeAPIServer, tmp_path: Path) -> None:
    result = await invoke(plan, installed(server, h100_pool(), live_node(), chat()), tmp_path, "-o", "json")
    assert result.exit_code == 0, result.output
    (change,) = data_of(result)["changes"]
    assert (change["name"], change["change"]) == ("chat", "Changed")
    assert change["after"]["accelerator"] == "H200-SXM-141GB"
    assert data_of(result)["assumptions"] == []


async def test_files_are_planned_on_the_clusters_pools(server: FakeAPIServer, tmp_path: Path) -> None:
    file = tmp_path / "wanted.yaml"
    file.write_text(yaml.safe_dump(named(DEPLOYMENT, "fresh")))
    installed(server, h100_pool(), live_node(), chat())
    result = await invoke(plan, server, tmp_path, "-f", str(file), "-o", "json")
    assert [(each["name"], each["change"]) for each in data_of(result)["changes"]] == [
        ("fresh", "New"),
        ("chat", "Gone"),
    ]


async def test_what_may_not_be_read_of_a_cluster_is_told(server: FakeAPIServer, tmp_path: Path) -> None:
    installed(server, h100_pool(), live_node(), chat())
    server.faults.fail(403, verbs="list", kinds="pods")
    result = await invoke(plan, server, tmp_path)
    assert "not seen: pods: you may not list pods" in result.stderr


async def test_a_cluster_without_our_kinds_says_how_to_install_them(server: FakeAPIServer, tmp_path: Path) -> None:
    result = await invoke(plan, server, tmp_path)
    assert result.exit_code == 2
    assert "helm install penstock-crds" in result.output
