"""Leases: what leader election relies on."""

import pytest

from contract.target import Object, Space
from penstock.cluster.resources import LEASES

pytestmark = pytest.mark.timeout(60)


def _lease(**spec: object) -> Object:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lead"}, "spec": spec}


async def test_a_lease_keeps_its_times(space: Space) -> None:
    """Six digits of a second, as written."""
    time = "2026-11-21T06:00:00.123456Z"
    made = (await space.create(_lease(holderIdentity="a", leaseDurationSeconds=15, renewTime=time))).expect(201)
    assert made["spec"]["renewTime"] == time


async def test_two_candidates(space: Space) -> None:
    """Both read the same version; one of them takes it."""
    made = (await space.create(_lease(holderIdentity="a", leaseTransitions=0))).expect(201)
    first = {**made, "spec": {"holderIdentity": "b", "leaseTransitions": 1}}
    second = {**made, "spec": {"holderIdentity": "c", "leaseTransitions": 1}}
    (await space.replace(first)).expect(200)
    (await space.replace(second)).refused(409, "Conflict")
    live = (await space.get(LEASES, "lead")).expect(200)
    assert live["spec"] == {"holderIdentity": "b", "leaseTransitions": 1}


async def test_two_creators(space: Space) -> None:
    (await space.create(_lease(holderIdentity="a"))).expect(201)
    (await space.create(_lease(holderIdentity="b"))).refused(409, "AlreadyExists")


async def test_each_renewal_is_a_version(space: Space) -> None:
    live = (await space.create(_lease(holderIdentity="a"))).expect(201)
    versions = [int(live["metadata"]["resourceVersion"])]
    for second in range(3):
        live["spec"]["renewTime"] = f"2026-11-21T06:00:0{second}.000000Z"
        live = (await space.replace(live)).expect(200)
        versions.append(int(live["metadata"]["resourceVersion"]))
    assert versions == sorted(set(versions))
