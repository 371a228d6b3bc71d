"""From one deployment's records to the tenant that the planner places."""

from collections import Counter
from collections.abc import Sequence

from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
from penstock.api.plan_status import FailedStart
from penstock.api.refusals import Refusal
from penstock.api.supported import unsupported
from penstock.catalogue.models import ModelFacts
from penstock.planner.fleet import DeploymentKey, FailedPlan, Tenant
from penstock.planner.plan import Assignment
from penstock.reconcilers.custom import Custom, wanted_replicas
from penstock.reconcilers.facts import FactsBook, checkpoints_of
from penstock.reconcilers.failing import failed_plans
from penstock.reconcilers.revisions import RevisionRecord, newest
from penstock.reconcilers.stored import PodRecord
from penstock.reconcilers.waiting import known_wait
from penstock.reconcilers.world import World

__all__ = ["build_tenant"]


def build_tenant(world: World, book: FactsBook, custom: Custom[ModelDeployment]) -> Tenant | None:
    """None where nothing is to be placed: it is being deleted, or its spec is refused."""
    if custom.deleting or custom.parsed is None or custom.refusals or unsupported(custom.parsed.spec):
        return None
    spec, key = custom.parsed.spec, (custom.namespace, custom.name)
    facts, unknown = _facts(book, key, spec)
    revision = newest(world.revisions.by_owner(custom.uid))
    pods = world.pods.by_index("deployment", key)
    mine = [pod for pod in pods if revision is not None and pod.revision == revision.revision]
    bound = Counter(pod.node for pod in mine if pod.holds_gpus)
    current, outdated = _current(world, custom, revision, bound)
    pending = [pod for pod in mine if not pod.node and not pod.finished and not pod.terminating]
    namespace = world.namespaces.get("", custom.namespace)
    wait = known_wait(custom, world.decisions.get(key))
    return Tenant(
        key=key,
        created=custom.created,
        spec=spec,
        replicas=wanted_replicas(spec),
        namespace_labels=dict(namespace.labels) if namespace else {},
        facts=facts,
        unknown=unknown,
        current=current,
        outdated=outdated,
        bound=bound,
        held=_held(pods),
        pending=len(pending),
        waiting_since=wait.since_time if wait else None,
        gpu_quota=_quota_left(world, custom.namespace),
        failed=_failed(custom),
        learnt=world.learnt.of((known.model for known in facts.values()), spec.engine_args),
    )


def _facts(
    book: FactsBook, key: DeploymentKey, spec: ModelDeploymentSpec
) -> tuple[dict[str, ModelFacts], dict[str, Refusal]]:
    facts: dict[str, ModelFacts] = {}
    unknown: dict[str, Refusal] = {}
    for checkpoint in checkpoints_of(key[0], spec):
        answer = book.look_up(key, checkpoint)
        if isinstance(answer, ModelFacts):
            facts[checkpoint.name] = answer
        else:
            unknown[checkpoint.name] = answer
    return facts, unknown


def _current(
    world: World, custom: Custom[ModelDeployment], revision: RevisionRecord | None, bound: Counter[str]
) -> tuple[Assignment | None, bool]:
    """What was decided for this very generation, rendered or not; else what the newest revision was rendered from."""
    decided = world.decisions.get((custom.namespace, custom.name))
    if decided is not None and decided.uid == custom.uid and decided.final_digest == custom.digest:
        return decided.decision.assignment, False
    if revision is None:
        return None, False
    wanted = wanted_replicas(custom.parsed.spec) if custom.parsed else 0
    return _standing(revision.assignment, bound, wanted), revision.spec_digest != custom.digest


def _standing(pinned: Assignment, bound: Counter[str], wanted: int) -> Assignment:
    """The pinned one, on the nodes where all of its replicas run by now.

    Nodes came and went since it was pinned; an operator that just started would take that for news.
    """
    if bound.total() != wanted or bound == Counter(pinned.nodes):
        return pinned
    return Assignment(pinned.plan, tuple(sorted(bound.elements())))


def _held(pods: Sequence[PodRecord]) -> dict[str, int]:
    held: dict[str, int] = {}
    for pod in pods:
        if pod.holds_gpus:
            held[pod.node] = held.get(pod.node, 0) + sum(pod.gpus.values())
    return held


def _failed(custom: Custom[ModelDeployment]) -> tuple[FailedPlan, ...]:
    """Kept in the status, so that a restart does not forget what was tried in vain."""
    told = tuple(FailedStart.model_validate(each) for each in custom.status.get("failed", ()))
    return failed_plans(told, custom.digest)


def _quota_left(world: World, namespace: str) -> dict[str, int]:
    left: dict[str, int] = {}
    for quota in world.quotas.by_index("namespace", namespace):
        for resource, hard in quota.hard.items():
            room = max(0, hard - quota.used.get(resource, 0))
            left[resource] = min(left.get(resource, room), room)
    return left
