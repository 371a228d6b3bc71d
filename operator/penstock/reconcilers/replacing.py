"""Replicas on nodes that are about to go: others are started elsewhere first, and then those go; pure.

Clouds give notice of a spot interruption, and autoscalers of a node that they remove, by a taint. What is left of the
notice is used: the new replicas load while the old ones serve. Where the notice is too short, Kubernetes starts the
same replicas anew when the node is gone, and the new ones are those.
"""

from collections.abc import Iterable
from dataclasses import replace

from penstock.reconcilers.stored import PodRecord
from penstock.reconcilers.view import View
from penstock.rollout.step import Step

__all__ = ["with_replacements", "withdrawn"]


def with_replacements(view: View, step: Step) -> Step:
    """The step with as many more replicas as stand on nodes that are about to go, until others are ready instead."""
    going = _going(view, step.serving)
    if not going or set(step.scales) != {step.serving}:
        return step
    wanted = step.scales[step.serving]
    if len(_elsewhere(view, view.pods_of(step.serving))) >= wanted:
        return step
    return replace(step, scales={step.serving: wanted + min(wanted, len(going))})


def withdrawn(view: View, revision: str) -> tuple[PodRecord, ...]:
    """Those on nodes that are about to go, as soon as enough others can take their requests: half of what is wanted."""
    if 2 * len(_elsewhere(view, view.pods_of(revision))) < max(1, view.wanted):
        return ()
    return _going(view, revision)


def _going(view: View, revision: str) -> tuple[PodRecord, ...]:
    return tuple(pod for pod in view.pods_of(revision) if pod.node in view.leaving_nodes and not pod.terminating)


def _elsewhere(view: View, pods: Iterable[PodRecord]) -> list[PodRecord]:
    return [pod for pod in pods if pod.ready and not _is_going(pod) and pod.node not in view.leaving_nodes]


def _is_going(pod: PodRecord) -> bool:
    return pod.terminating or bool(pod.disrupted)
