"""`penstock uninstall` beside a real operator, server and replicas: nothing goes that a gateway may still send to."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.day_two import invoke, lease
from integration.gateways import GatewayStage, gateway, gateways, route
from integration.stage import Stage, deployment, node, pool
from penstock.cli.uninstall import uninstall

HOME = "deployment/team/chat"


@pytest.fixture
async def serving(empty_cluster: Stage, tmp_path: Path) -> AsyncIterator[GatewayStage]:
    """An operator, a gateway with two replicas, and a deployment that both send to.

    The operator leads alone beside a Lease of ours: by its own clock, which is too fast for one, it would lose it.
    """
    empty_cluster.put(pool("h100"), node("h100-a"), lease(now=datetime.now(UTC) + timedelta(hours=1)))
    async with gateways(empty_cluster, tmp_path) as entry:
        await entry.start_server()
        await entry.start_operator()
        empty_cluster.put(gateway(), deployment(), route())
        await entry.start_replicas()
        await empty_cluster.until(lambda: len(entry.everywhere(HOME)) == 2 and all(entry.everywhere(HOME)))
        await empty_cluster.until(lambda: entry.is_so("routes", "chat", "Ready"))
        yield entry


async def test_every_replica_stops_sending_before_the_first_engine_goes(serving: GatewayStage, tmp_path: Path) -> None:
    cluster, broken = serving.cluster, list[str]()

    def heard(type_: str, live: dict[str, Any], _before: dict[str, Any] | None) -> None:
        metadata = live["metadata"]
        engine = (metadata.get("labels") or {}).get("penstock.dev/role") == "engine"
        going = type_ == "DELETED" or metadata.get("deletionTimestamp")
        if live["kind"] == "Pod" and engine and going and any(each.endpoints for each in serving.everywhere(HOME)):
            broken.append(metadata["name"])

    end = cluster.server.subscribe(heard)
    folder = tmp_path / "command"
    folder.mkdir()
    result = await invoke(uninstall, cluster.server, folder, "--yes", "--keep-crds", "--timeout", "60")
    end()
    assert result.exit_code == 0, result.output
    assert broken == []
    assert cluster.picture() == {}
    assert cluster.server.objects("pods", "team") == []
    for plural in ("modeldeployments", "routes", "inferencegateways", "inferencepools"):
        assert cluster.server.objects(plural) == []
