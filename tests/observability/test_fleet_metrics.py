"""What the leader shows of its fleet."""

import time
from datetime import UTC, datetime

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from builders.observed import add_deployment, add_gateway, add_pool, condition, empty_world, one_of_everything
from observability.promtool import promtool
from penstock.fleet_metrics import fleet_text
from penstock.metrics import Metrics
from penstock.reconcilers.world import World
from penstock.server.metrics import ServerMetrics

CHAT = {"namespace": "team", "deployment": "chat"}
MAIN = {"namespace": "ai", "gateway": "main"}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


def samples(world: World, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a family by their labels' values, as Prometheus reads them."""
    found = (family for family in text_string_to_metric_families(fleet_text(world)) if family.name == name)
    return {tuple(sample.labels.values()): sample.value for family in found for sample in family.samples}


VALUES: dict[str, tuple[str, dict[str, str], float]] = {
    "what users want": ("penstock_deployment_replicas", {**CHAT, "state": "desired"}, 2),
    "what there is": ("penstock_deployment_replicas", {**CHAT, "state": "existing"}, 2),
    "what serves": ("penstock_deployment_replicas", {**CHAT, "state": "ready"}, 1),
    "GPUs of its pods": ("penstock_deployment_gpus", CHAT, 4),
    "its cost": ("penstock_deployment_cost_per_hour", {**CHAT, "currency": "USD"}, 11.8),
    "a drain": ("penstock_deployment_drain_started_timestamp_seconds", {**CHAT, "reason": "ServerAway"}, NOON),
    "its room against the plan": ("penstock_plan_kv_tokens_ratio", CHAT, 0.75),
    "its pace against the plan": ("penstock_plan_step_time_ratio", CHAT, 1.3),
    "its verdict": (
        "penstock_deployment_condition",
        {**CHAT, "type": "Ready", "status": "False", "reason": "Loading"},
        1,
    ),
    "a pool's GPUs": ("penstock_pool_gpus", {"pool": "h100", "state": "free"}, 4),
    "a pool's cost": ("penstock_pool_cost_per_hour", {"pool": "h100", "currency": "USD"}, 47.2),
    "a pool's verdict": (
        "penstock_pool_condition",
        {"pool": "h100", "type": "Ready", "status": "True", "reason": "Ready"},
        1,
    ),
    "gateway pods wanted": ("penstock_gateway_replicas", {**MAIN, "state": "desired"}, 3),
    "gateway pods ready": ("penstock_gateway_replicas", {**MAIN, "state": "ready"}, 2),
    "gateway pods heard": ("penstock_gateway_replicas", {**MAIN, "state": "live"}, 2),
    "gateway pods late": ("penstock_gateway_replicas", {**MAIN, "state": "behind"}, 1),
    "the published table": ("penstock_table_generation", {**MAIN, "state": "published"}, 7),
    "the oldest table": ("penstock_table_generation", {**MAIN, "state": "applied"}, 6),
    "how many there are": ("penstock_resources", {"kind": "Route"}, 1),
    "how many there are not": ("penstock_resources", {"kind": "Consumer"}, 0),
}


@pytest.mark.parametrize("case", VALUES)
def test_what_is_shown(case: str) -> None:
    name, labels, want = VALUES[case]
    assert samples(one_of_everything(), name)[tuple(labels.values())] == want


def test_the_plan_is_in_the_labels() -> None:
    (labels,) = samples(one_of_everything(), "penstock_deployment_info")
    assert labels == ("team", "chat", "h100", "H100-SXM-80GB", "vLLM", "0.33.0", "fp8", "org/small", "2")


def test_of_what_holds_only_ready_is_shown() -> None:
    """So that a healthy fleet is small; what does not hold is all there."""
    world = empty_world()
    add_deployment(world, "well", condition("Accepted"), condition("Placed"), condition("Ready"))
    add_deployment(world, "ill", condition("Placed", "False", "NoFreeGPUs"), condition("Ready", "False", "NoFreeGPUs"))
    assert set(samples(world, "penstock_deployment_condition")) == {
        ("team", "well", "Ready", "True", "Ready"),
        ("team", "ill", "Placed", "False", "NoFreeGPUs"),
        ("team", "ill", "Ready", "False", "NoFreeGPUs"),
    }


def test_another_revisions_engines_say_nothing_of_this_plan() -> None:
    world = one_of_everything()
    (chat,) = world.deployments
    chat.status["reported"]["revision"] = "older"
    assert samples(world, "penstock_plan_kv_tokens_ratio") == {}


def test_a_spec_that_is_refused_wants_nothing() -> None:
    """Nobody knows how many; what exists of it is shown all the same."""
    world = empty_world()
    add_deployment(world, replicas="many")
    assert set(samples(world, "penstock_deployment_replicas")) == {
        ("team", "chat", "existing"),
        ("team", "chat", "ready"),
    }


def test_a_pool_without_a_price_shows_none() -> None:
    world = empty_world()
    add_pool(world, total=8)
    (pool,) = world.pools
    pool.status["costPerHour"] = ""
    assert samples(world, "penstock_pool_cost_per_hour") == {}


def test_while_the_server_is_away_nobody_is_behind() -> None:
    """Nor up to date: what replicas have is unknown."""
    world = empty_world()
    add_gateway(world, replicas=None)
    assert set(samples(world, "penstock_gateway_replicas")) == {("ai", "main", "desired"), ("ai", "main", "ready")}
    assert samples(world, "penstock_table_generation") == {("ai", "main", "published"): 7}


def test_what_is_gone_is_not_shown() -> None:
    world = one_of_everything()
    (pool,) = world.pools
    world.pools.remove("", pool.name, pool.uid)
    assert samples(world, "penstock_pool_gpus") == {}


def test_five_thousand_deployments_are_written_fast() -> None:
    """In 0.16 s; the bound leaves room for a busy machine. Seven series each."""
    world = empty_world()
    for number in range(5_000):
        add_deployment(world, f"md-{number}", condition("Accepted"), condition("Placed"), condition("Ready"))
    began = time.process_time()
    text = fleet_text(world)
    assert time.process_time() - began < 0.5
    assert sum(line.startswith("penstock_deployment_") for line in text.splitlines()) == 5_000 * 7


def test_labels_are_escaped() -> None:
    world = empty_world()
    add_deployment(world, "chat", condition("Ready", "False", 'a "b"\\\n'))
    assert ("team", "chat", "Ready", "False", 'a "b"\\\n') in samples(world, "penstock_deployment_condition")


def test_an_operator_says_what_it_is() -> None:
    registry = Metrics().registry
    (sample,) = (one for family in registry.collect() if family.name == "penstock_build_info" for one in family.samples)
    assert sample.labels["component"] == "operator"
    assert registry.get_sample_value("process_start_time_seconds") is not None


def test_the_fleet_is_part_of_the_leaders_metrics() -> None:
    """A standby has none of it."""
    metrics = Metrics()
    assert b"penstock_resources" not in metrics.text()
    metrics.fleet = lambda: fleet_text(one_of_everything())
    assert b'penstock_resources{kind="Route"} 1\n' in metrics.text()
    assert b"workqueue_depth" in metrics.text()


def test_a_certificates_end_is_told_by_its_secret() -> None:
    metrics = Metrics()
    metrics.certificate_expiry.labels(secret="penstock-server-tls").set(NOON)
    name = "penstock_certificate_expiry_timestamp_seconds"
    assert metrics.registry.get_sample_value(name, {"secret": "penstock-server-tls"}) == NOON


def test_promtool_finds_nothing_to_mend() -> None:
    """Names, units, help and form, as Prometheus wants them."""
    metrics = Metrics()
    metrics.fleet = lambda: fleet_text(one_of_everything())
    promtool("check", "metrics", text=metrics.text())
    promtool("check", "metrics", text=generate_latest(ServerMetrics().registry))


def test_promtool_finds_what_is_wrong() -> None:
    with pytest.raises(AssertionError, match="counter metrics should have"):
        promtool("check", "metrics", text=b"# HELP x_s A.\n# TYPE x_s counter\nx_s 1\n")
