"""Two replicas: one works, the other is warm, and takes over when the first is gone."""

from integration.stage import HastyClock, Stage, deployment, node, pool


async def _two(cluster: Stage) -> None:
    cluster.clock = HastyClock(12)
    cluster.put(pool("h100"), node("h100-a"))
    first = await cluster.start("one", leader_elect=True)
    await cluster.until(first.operator.election.leading.is_set)
    second = await cluster.start("two", leader_elect=True)
    await cluster.until(lambda: not second.operator._missing())


async def test_only_the_leader_writes(empty_cluster: Stage) -> None:
    """The standby knows everything and does nothing."""
    cluster = empty_cluster
    await _two(cluster)
    cluster.put(deployment())
    await cluster.until(cluster.is_ready)
    leader, standby = cluster.operators
    assert standby.operator.client.writes == 0
    assert len(standby.operator.world.workloads) == 1
    assert leader.operator.client.writes > 0


async def test_only_the_leader_shows_the_fleet(empty_cluster: Stage) -> None:
    """So that nothing is counted once per replica."""
    cluster = empty_cluster
    await _two(cluster)
    cluster.put(deployment())
    leader, standby = (running.operator.surroundings.metrics for running in cluster.operators)
    place = 'namespace="team",deployment="chat"'
    for line in (
        f'penstock_deployment_condition{{{place},type="Ready",status="True",reason="Ready"}} 1',
        f'penstock_deployment_info{{{place},pool="h100",',
        'penstock_pool_gpus{pool="h100",state="allocated"} 1',
        'leader_election_master_status{name="penstock-operator"} 1.0',
    ):
        await cluster.until(lambda line=line: line.encode() in leader.text())
    assert b"penstock_resources{" not in standby.text()
    assert b"leader_election_master_status{" not in standby.text()


async def test_the_other_takes_over_from_one_that_was_killed(empty_cluster: Stage) -> None:
    """After the Lease has run out, with a higher token; what was asked for meanwhile is done."""
    cluster = empty_cluster
    await _two(cluster)
    cluster.put(deployment("before"))
    await cluster.until(lambda: cluster.is_ready("before"))
    picture = cluster.picture()
    leader, standby = cluster.operators
    await leader.kill()
    cluster.operators.remove(leader)
    cluster.put(deployment("after"))
    await cluster.until(lambda: cluster.is_ready("after"))
    assert standby.operator.election.generation > leader.operator.election.generation
    assert picture.items() <= cluster.picture().items()


async def test_one_that_stops_gives_the_lease_up(empty_cluster: Stage) -> None:
    """The standby need not wait for it to run out."""
    cluster = empty_cluster
    await _two(cluster)
    leader, standby = cluster.operators
    cluster.operators.remove(leader)
    await leader.stop()
    began = cluster.clock.monotonic()
    await cluster.until(standby.operator.election.leading.is_set)
    assert cluster.clock.monotonic() - began < standby.operator.election.duration
