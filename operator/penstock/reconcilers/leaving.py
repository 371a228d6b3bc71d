"""Which pods of a revision go when it is to have fewer, and the marks by which routing and Kubernetes know them."""

from collections.abc import Container, Iterable, Mapping

from penstock.reconcilers.stored import LEAVING_ANNOTATION, PodRecord

__all__ = ["MARKS", "NO_MARKS", "surplus"]

MARKS: Mapping[str, str | None] = {LEAVING_ANNOTATION: "true", "controller.kubernetes.io/pod-deletion-cost": "-1000"}
"""Annotations of a pod that goes at the next scale-down: its ReplicaSet takes it before the others."""
NO_MARKS: Mapping[str, str | None] = dict.fromkeys(MARKS)


def surplus(pods: Iterable[PodRecord], keep: int, nodes: Container[str] = ()) -> tuple[PodRecord, ...]:
    """Those that go so that `keep` stay: in the order in which a ReplicaSet takes them, so that both choose alike.

    `nodes` are about to go: what stands there goes before what is ready elsewhere, and has been marked by then.
    """
    active = [pod for pod in pods if not (pod.finished or pod.terminating)]
    return tuple(sorted(active, key=lambda pod: _worth(pod, nodes))[: max(0, len(active) - keep)])


def _worth(pod: PodRecord, nodes: Container[str]) -> tuple[bool, bool, bool, bool, float, str]:
    """Without a node first, then not ready, then on a node that goes, then marked already, then the youngest."""
    age = -pod.created.timestamp() if pod.created else 0.0
    return bool(pod.node), pod.ready, pod.node not in nodes, not pod.leaving, age, pod.name
