"""EndpointSlices follow pods and Services."""

from typing import Any

from builders.clock import FakeClock
from builders.played import Played, played, pod, service
from penstock.cluster.fake.player.runtime import TimedRuntime

HTTP = {"ports": [{"name": "http", "containerPort": 8000}]}


def endpoints(cluster: Played) -> list[dict[str, Any]]:
    """The endpoints of the Service `front`."""
    live = cluster.server.get("endpointslices", "default", "front")
    assert live is not None
    found: list[dict[str, Any]] = live["endpoints"]
    return found


async def test_a_ready_pod_is_an_endpoint_and_named_ports_are_numbers() -> None:
    async with played() as cluster:
        cluster.server.put(service("front", "p", target="http"))
        cluster.server.put(pod("p", container=HTTP))
        await cluster.pass_time(1)
        (endpoint,) = endpoints(cluster)
        assert endpoint["conditions"] == {"ready": True, "serving": True, "terminating": False}
        assert endpoint["targetRef"]["name"] == "p"
        live = cluster.server.get("endpointslices", "default", "front")
        assert live is not None
        assert live["ports"] == [{"name": "http", "port": 8000, "protocol": "TCP"}]


async def test_a_pod_that_is_not_ready_is_no_ready_endpoint() -> None:
    clock = FakeClock()
    probed = {**HTTP, "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1}}
    async with played(runtime=TimedRuntime(clock, seconds=100), clock=clock) as cluster:
        cluster.server.put(service("front", "p"))
        cluster.server.put(pod("p", container=probed))
        await cluster.pass_slowly(3)
        assert [each["conditions"]["ready"] for each in endpoints(cluster)] == [False]


async def test_a_pod_that_is_being_deleted_gets_no_new_connections() -> None:
    hook = {**HTTP, "lifecycle": {"preStop": {"sleep": {"seconds": 15}}}}
    async with played() as cluster:
        cluster.server.put(service("front", "p"))
        cluster.server.put(pod("p", container=hook))
        await cluster.pass_time(1)
        cluster.server.delete("pods", "default", "p")
        await cluster.pass_time(1)
        assert endpoints(cluster)[0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
        await cluster.pass_time(20)
        assert endpoints(cluster) == []
