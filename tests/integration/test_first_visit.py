"""From a spec to children and status, and quiet after that."""

from integration.stage import Stage, condition, deployment, whole


async def test_the_first_visit_makes_exactly_these_children(cluster: Stage) -> None:
    """One revision, its children named after it, the ordinary Service, and no more."""
    cluster.put(deployment())
    await cluster.ready()
    (revision,) = cluster.revisions()
    assert set(cluster.picture()) == whole(revision)
    assert cluster.serving() == revision


async def test_the_status_says_where_and_what_it_costs(cluster: Stage) -> None:
    """The plan, the price and the conditions of a deployment that serves."""
    cluster.put(deployment())
    await cluster.ready()
    status = cluster.md()["status"]
    assert status["plan"]["pool"] == "h100"
    assert status["plan"]["costPerHour"] == "2.00 USD"
    assert {each["type"]: each["status"] for each in status["conditions"]} == dict.fromkeys(
        ("Accepted", "Placed", "Available", "Ready"), "True"
    )
    assert condition(cluster.server.get("inferencepools", "", "h100"), "Ready")["status"] == "True"
