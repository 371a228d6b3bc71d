"""One Service for two: the older has it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from builders.attached import gateway_custom
from builders.live import live
from penstock.api.meta import API_VERSION
from penstock.api.modeldeployment import ModelDeployment
from penstock.reconcilers.clashes import clash_of_deployment, clash_of_gateway
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.world import World


def model(name: str) -> Custom[ModelDeployment]:
    """A deployment in the gateway's namespace."""
    spec = {"model": "Qwen/Qwen3-8B"}
    return Custom.of(
        live("ModelDeployment", name, namespace="gateway", api_version=API_VERSION, spec=spec), ModelDeployment
    )


@pytest.mark.parametrize(
    ("name", "older_seconds", "gateway_refused", "deployment_refused"),
    [
        pytest.param("main-gateway", 60, True, False, id="the deployment is older"),
        pytest.param("main-gateway", 0, False, True, id="of one second: the gateway has it"),
        pytest.param("main-gateway", -60, False, True, id="the gateway is older"),
        pytest.param("main", 60, False, False, id="another Service"),
        pytest.param("other-gateway", -60, False, False, id="no gateway of that name"),
    ],
)
def test_the_older_has_the_service(
    name: str, older_seconds: int, *, gateway_refused: bool, deployment_refused: bool
) -> None:
    """The newer is refused, with what to do; never both."""
    gateway, deployment = gateway_custom(), model(name)
    deployment = replace(deployment, created=gateway.created - timedelta(seconds=older_seconds))
    world = World(enqueue=lambda _key: None, enqueue_after=lambda _key, _seconds: None)
    world.gateways.put(gateway)
    world.deployments.put(deployment)
    told = (*clash_of_gateway(world, gateway), *clash_of_deployment(world, deployment))
    assert bool(clash_of_gateway(world, gateway)) is gateway_refused
    assert bool(clash_of_deployment(world, deployment)) is deployment_refused
    assert all("Choose another name" in str(each) for each in told)
