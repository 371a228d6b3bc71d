"""What happens to a platform on a Tuesday, under load: an upgrade, a drained node, a leader that is killed."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from installed.load import Tally
from installed.manifests import SYSTEM_NAMESPACE
from installed.platform import Platform

__all__ = ["Upheaval", "drained", "leader_change", "resident_mib", "under_load", "upgraded"]

_SETTLE_SECONDS = 3.0
_SERVED_AFTER = 40
"""Requests that are answered after it is over, so that what comes late is seen."""
_LEADER_SECONDS = 60.0
_DRAIN_SECONDS = 300.0
_KIB_PER_MIB = 1024


@dataclass(slots=True)
class Upheaval:
    """What it cost: requests by how they ended, engine pods that are others than before, and its time in seconds."""

    tally: Tally = field(default_factory=Tally)
    rolled: frozenset[str] = frozenset()
    seconds: float = 0.0


@contextmanager
def under_load(platform: Platform, *, per_second: float = 20.0) -> Iterator[Upheaval]:
    """Whatever the block does; the load goes on for a while after it."""
    seen, before = Upheaval(), platform.engines()
    with platform.load(per_second=per_second) as load:
        began = time.monotonic()
        yield seen
        seen.seconds = time.monotonic() - began
        answered = load.tally.answered
        platform.until(lambda: load.tally.answered > answered + _SERVED_AFTER, "requests are answered after it")
        seen.tally = load.end()
    seen.rolled = _others(before, platform.engines())


def upgraded(platform: Platform, values: Mapping[str, str], *, per_second: float = 20.0) -> Upheaval:
    """`helm upgrade` to those values, until every gateway replica is a new one."""
    gateways = platform.gateways()
    with under_load(platform, per_second=per_second) as seen:
        platform.values.update(values)
        platform.upgrade()
        platform.until(lambda: not gateways.keys() & platform.gateways().keys(), "all gateway replicas are new ones")
        platform.until(lambda: len(platform.gateways()) == len(gateways), "no gateway replica is left over")
    return seen


def drained(platform: Platform, node: str, *, per_second: float = 20.0) -> Upheaval:
    """`kubectl drain` of a node, which comes back afterwards."""
    with under_load(platform, per_second=per_second) as seen:
        try:
            platform.cluster.drain(node, timeout=_DRAIN_SECONDS)
            time.sleep(_SETTLE_SECONDS)
        finally:
            platform.cluster.uncordon(node)
        platform.until(platform.completes, "it answers")
    return seen


def leader_change(platform: Platform) -> float:
    """The leader is killed without a word and taken away; seconds until another leads.

    Where its pod stays, the kubelet starts it again within a moment, under the name that holds the Lease.
    """
    leader = platform.leader()
    began = time.monotonic()
    platform.cluster.kill_pod(leader, SYSTEM_NAMESPACE)
    platform.cluster.kubectl("delete", "pod", leader, "-n", SYSTEM_NAMESPACE, "--force", "--grace-period=0")
    platform.until(lambda: platform.leader() not in {leader, ""}, "another leads", seconds=_LEADER_SECONDS)
    return time.monotonic() - began


def resident_mib(platform: Platform, component: str) -> float:
    """The largest resident set of that component's processes, in MiB."""
    script = "import pathlib; print(pathlib.Path('/proc/1/status').read_text())"
    sizes = []
    for pod in platform.component(component):
        status = platform.cluster.kubectl("exec", "-n", SYSTEM_NAMESPACE, pod, "--", "python", "-c", script)
        line = next(each for each in status.splitlines() if each.startswith("VmRSS:"))
        sizes.append(int(line.split()[1]) / _KIB_PER_MIB)
    return max(sizes)


def _others(before: Mapping[str, str], after: Mapping[str, str]) -> frozenset[str]:
    """Names of pods that were there before and are not any more, or are other pods now."""
    return frozenset(name for name, uid in before.items() if after.get(name) != uid)
