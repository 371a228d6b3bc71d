"""ModelDeployment: gather, decide the next step of the roll-out, apply what differs, report.

The order of the writes is what keeps serving whole: pin the new revision, make its children, move the
Service, and only then, when no gateway sends there any more, take from the old one. Killed between any two of them, the
next pass goes on.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, SurgePolicy
from penstock.api.plan_status import ProposalStatus
from penstock.api.refusals import Refusal, Refused
from penstock.api.supported import unsupported
from penstock.cluster.client import Client
from penstock.cluster.errors import Forbidden, NotFound
from penstock.cluster.events import EventRecorder, Reference
from penstock.cluster.owned import manifest_digest
from penstock.cluster.resources import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    MODEL_DEPLOYMENTS,
    PRIORITY_CLASSES,
    SECRETS,
    ResourceType,
)
from penstock.planner.plan import Assignment, DecisionReason
from penstock.reconcilers.children import CHILD_KINDS, Changes, Children
from penstock.reconcilers.clashes import clash_of_deployment
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.deployment_status import Outcome, build_status, status_while_deleted
from penstock.reconcilers.draining import Draining
from penstock.reconcilers.endpoints import DRAIN_FINALIZER, routed
from penstock.reconcilers.failing import Failures, failures
from penstock.reconcilers.keys import Key
from penstock.reconcilers.proposals import proposal_change
from penstock.reconcilers.removal import Removal, worst
from penstock.reconcilers.replacing import with_replacements
from penstock.reconcilers.revisions import RevisionRecord, child_name, next_number, pinned, unscaled, with_digests
from penstock.reconcilers.secrets import no_secrets
from penstock.reconcilers.view import View, gather, keep_reply
from penstock.reconcilers.world import World
from penstock.render.revisions import RenderedRevision, RevisionRequest, render_controller_revision, render_revision
from penstock.render.services import render_service
from penstock.rollout.step import Step, next_step
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result

__all__ = ["ModelDeploymentReconciler"]

_log = logging.getLogger(__name__)

_ABSENT_REFERENT_SECONDS = 30.0


@dataclass(slots=True)
class ModelDeploymentReconciler:
    """One pass per key; everything it needs is given."""

    world: World
    client: Client
    events: EventRecorder
    clock: Clock
    operator_namespace: str

    async def reconcile(self, key: Key) -> Result:
        """Bring one deployment a step further and say so in its status."""
        custom = self.world.deployments.get(key.namespace, key.name)
        if custom is None:
            return Result()
        changes = Changes()
        try:
            look_again = await (self._end(custom, changes) if custom.deleting else self._bring(custom, changes))
        finally:
            if changes:
                # What we wrote ourselves comes back as no event, also where a later write failed.
                self.world.route_soon()
                _log.info("%s: %s", key, "; ".join(changes.lines))
        return Result(requeue_after=look_again)

    async def _bring(self, custom: Custom[ModelDeployment], changes: Changes) -> float | None:
        custom = await self._draining.keep_finalizer(custom, changes)
        outcome = await self._act(gather(self.world, custom), changes)
        if outcome is None:
            return None
        view, now = gather(self.world, custom), self.clock.now()
        old = ModelDeploymentStatus.model_validate(custom.status)
        failed = failures(view, old, now)
        outcome = replace(
            outcome,
            has_gateways=self.world.traffic.enabled,
            routed=routed(self.world, view),
            failed=failed.all,
            readings=self.world.readings.of(view.pods_of(view.serving)),
            proposal=self._proposal(custom, old),
        )
        await self._report(custom, build_status(view, outcome, now=now), changes)
        self._tell_failure(custom, failed)
        self._tell_proposal(custom, old.proposal, outcome.proposal)
        return _sooner(_sooner(outcome.look_again_seconds, outcome.removal), failed)

    async def _end(self, custom: Custom[ModelDeployment], changes: Changes) -> float | None:
        """Its children go with it, so it goes only when no gateway replica sends to them any more."""
        if DRAIN_FINALIZER not in custom.finalizers:
            return None
        removal = self._draining.deletion(gather(self.world, custom))
        if removal is not None:
            self._draining.tell(custom, [removal])
        if removal is None or removal.may_go:
            await self._draining.release(custom, changes)
            return None
        await self._report(custom, status_while_deleted(custom, removal, now=self.clock.now()), changes)
        return removal.look_again_seconds

    async def _act(self, view: View, changes: Changes) -> Outcome | None:
        """None where there is nothing to report: placement has not answered yet, or the deployment is gone."""
        refusals = _refusals(view.custom) or clash_of_deployment(self.world, view.custom)
        if refusals:
            return await self._keep_serving(view, Outcome(refusals=refusals), changes)
        if view.decided is None:
            # Its answer comes within moments and brings the key back: a status in between would be one write more.
            self.world.place_soon()
            return None
        try:
            target = self._target(view)
        except Refused as refused:
            return await self._keep_serving(view, Outcome(refusals=refused.refusals), changes)
        if target is None:
            return await self._keep_serving(view, Outcome(), changes)
        return await self._roll_to(view, target, changes)

    async def _keep_serving(self, view: View, outcome: Outcome, changes: Changes) -> Outcome:
        """What serves goes on, scaled as wanted; nothing new is made."""
        name = view.serving if view.serving in view.revisions else max(view.revisions, default="", key=_number(view))
        if not name or view.custom.parsed is None:
            return outcome
        step = self._replaced(
            view, next_step([view.state_of(name)], target=name, serving=view.serving, wanted=view.wanted)
        )
        removal = await self._carry_out(view, step, {}, changes)
        return replace(outcome, removal=removal)

    def _target(self, view: View) -> "Target | None":
        """The revision that should serve; None where placement has no answer to this spec."""
        decided, spec_digest = view.decided, view.custom.digest
        if decided is None or decided.decision.assignment is None or decided.final_digest != spec_digest:
            return None
        assignment = decided.decision.assignment
        for record in view.revisions.values():
            if record.spec_digest == spec_digest and record.assignment.plan == assignment.plan:
                return Target(record.revision, assignment, None)
        rendered = render_revision(self._request(view, assignment))
        known = view.revisions.get(rendered.name)
        if known is not None and known.spec_digest == spec_digest:
            return Target(known.revision, known.assignment, None)
        return Target(rendered.name, assignment, rendered)

    def _request(self, view: View, assignment: Assignment) -> RevisionRequest:
        pool = self.world.pools.get("", assignment.plan.pool)
        if pool is None or pool.parsed is None:
            refusal = Refusal("spec.placement.pools", assignment.plan.pool, "the pool is gone", "Wait for placement")
            raise Refused([refusal])
        return RevisionRequest(
            deployment=view.deployment,
            assignment=assignment,
            pool_spec=pool.parsed.spec,
            operator_namespace=self.operator_namespace,
        )

    async def _roll_to(self, view: View, target: "Target", changes: Changes) -> Outcome | None:
        manifests: dict[str, tuple[dict[str, Any], ...]] = {}
        if target.rendered is not None:
            missing = await self._absent_referent(view)
            if missing is not None:
                return await self._keep_serving(view, missing, changes)
            if not view.exists and not await self._lives(view.custom):
                return None
            await self._pin(view, target, target.rendered, changes)
            if target.name not in view.revisions:
                manifests[target.name] = target.rendered.manifests
            view = gather(self.world, view.custom)
        step = self._step(view, target)
        removal = await self._carry_out(view, step, manifests, changes)
        self._tell(view, target, step)
        return Outcome(target=target.name, step=step, removal=removal)

    def _step(self, view: View, target: "Target") -> Step:
        names = dict.fromkeys([*view.revisions, *view.workloads, target.name])
        step = next_step(
            [view.state_of(name) for name in names],
            target=target.name,
            serving=view.serving,
            wanted=view.wanted,
            replace=_gives_up_first(view, target.name),
        )
        return self._replaced(view, step)

    def _replaced(self, view: View, step: Step) -> Step:
        """With others for the replicas on nodes that are about to go; the first time, that is told."""
        replaced, workload = with_replacements(view, step), view.workloads.get(step.serving)
        if replaced is not step and workload and workload.replicas < replaced.scales[step.serving]:
            nodes = ", ".join(f"{name} ({taint})" for name, taint in view.leaving_nodes.items())
            message = f"About to go: node {nodes}; others are started before its replicas go"
            self.events.record(_about(view.custom), type="Warning", reason="NodeLeaving", message=message)
        return replaced

    async def _lives(self, custom: Custom[ModelDeployment]) -> bool:
        """Ask the API server before the first create: a ghost parent gets no children, nor one that is being deleted.

        `--cascade=foreground` takes the children first, and their events may come before their parent's.
        """
        try:
            live = await self.client.get(MODEL_DEPLOYMENTS, custom.name, custom.namespace)
        except NotFound:
            live = {"metadata": {"uid": ""}}
        if live["metadata"].get("uid") == custom.uid:
            return "deletionTimestamp" not in live["metadata"]
        if self.world.deployments.remove(custom.namespace, custom.name, custom.uid):
            # The watch's own event is no news any more: nobody else would free what it was promised.
            self.world.on_deployment(custom, None)
        return False

    async def _absent_referent(self, view: View) -> Outcome | None:
        """A Secret or PriorityClass that pods would wait for; looked up only before a revision is made."""
        spec = view.deployment.spec
        secret = spec.credentials_ref
        if secret is not None:
            field, name = "spec.credentialsRef.name", secret.name
            try:
                found = await self._has_secret(name, view.custom.namespace)
            except Forbidden:
                return _waits("SecretForbidden", no_secrets(field, name, view.custom.namespace))
            if not found:
                return _waits_for("Secret", field, name, f"Create it with the key '{secret.key}'")
        priority = spec.pod.priority_class_name
        if priority is not None and not await self._found(PRIORITY_CLASSES, priority, None):
            return _waits_for("PriorityClass", "spec.pod.priorityClassName", priority, "Name one that exists")
        return None

    async def _has_secret(self, name: str, namespace: str) -> bool:
        """Forbidden where we may not know."""
        if not self.world.scope.uses_secrets(namespace):
            message = f"Secrets in {namespace} are not ours to read"
            raise Forbidden(message)
        return await self._found(SECRETS, name, namespace)

    async def _found(self, kind: ResourceType, name: str, namespace: str | None) -> bool:
        try:
            await self.client.get(kind, name, namespace)
        except NotFound:
            return False
        return True

    async def _pin(self, view: View, target: "Target", rendered: RenderedRevision, changes: Changes) -> None:
        """First of all writes: what was rendered outlives this process and the next version of it.

        A revision that is known already only learns which spec asks for it: its data never changes.
        """
        known = view.revisions.get(target.name)
        number = known.number if known else next_number(tuple(view.revisions.values()))
        manifest = render_controller_revision(
            view.deployment, rendered, target.assignment, number=number, spec_digest=view.custom.digest
        )
        if known is not None:
            live = await self.client.get(CONTROLLER_REVISIONS, known.name, known.namespace)
            manifest["data"] = live["data"]
        await self._children.apply(manifest if known else with_digests(manifest), changes)

    async def _carry_out(
        self, view: View, step: Step, manifests: dict[str, tuple[dict[str, Any], ...]], changes: Changes
    ) -> Removal | None:
        """What serves comes first, and its Service moves; returns what waits to be drained.

        One table takes the old revision's pods out and brings the new one's in. So whoever has acknowledged that the
        old ones are gone has the new ones, and the drained revision goes when its successor is routable everywhere.
        """
        removals = []
        for name in dict.fromkeys([step.serving, *step.scales]):
            serves = name == step.serving
            replicas, removal = await self._draining.hold(
                view, name, step.scales.get(name, 0), serves=serves, changes=changes
            )
            removals += [removal] if removal else []
            await self._ensure(view, name, replicas, manifests.get(name), changes)
            if serves:
                await self._ensure_service(view, name, changes)
        for name in step.remove:
            await self._remove(view, name, changes)
        self._draining.tell(view.custom, removals)
        return worst(removals)

    async def _ensure(
        self,
        view: View,
        name: str,
        replicas: int,
        rendered: tuple[dict[str, Any], ...] | None,
        changes: Changes,
    ) -> None:
        """Bring the children of one revision to what is pinned, at that many replicas."""
        record = view.revisions.get(name)
        if record is None:
            return
        differing = [child for child in record.digests if self._differs(view, record, child, replicas)]
        if differing:
            for manifest in rendered or await self._pinned(record):
                if child_name(manifest) in differing:
                    await self._children.apply(_scaled(manifest, replicas), changes)

    def _differs(self, view: View, record: RevisionRecord, child: tuple[str, str], replicas: int) -> bool:
        if child[0] == DEPLOYMENTS.kind:
            workload = view.workloads.get(record.revision)
            return workload is None or workload.digest != record.digests[child] or workload.replicas != replicas
        live = view.children.get(child)
        return live is None or live.digest != record.digests[child]

    async def _ensure_service(self, view: View, name: str, changes: Changes) -> None:
        record = view.revisions.get(name)
        if record is None:
            return
        manifest = render_service(view.deployment, record.revision, record.assignment)
        live = view.children.get(child_name(manifest))
        if live is None or live.digest != manifest_digest(manifest):
            await self._children.apply(manifest, changes)

    async def _pinned(self, record: RevisionRecord) -> tuple[dict[str, Any], ...]:
        live = await self.client.get(CONTROLLER_REVISIONS, record.name, record.namespace)
        return pinned(live).manifests

    async def _remove(self, view: View, name: str, changes: Changes) -> None:
        """A drained revision goes: its children first, what pins them last."""
        workload = view.workloads.get(name)
        if workload is not None:
            await self._children.delete(DEPLOYMENTS, workload, changes)
        for (kind, _), child in view.children.items():
            if child.revision == name:
                await self._children.delete(CHILD_KINDS[kind], child, changes)
        record = view.revisions.get(name)
        if record is not None:
            await self._children.delete(CONTROLLER_REVISIONS, record, changes)

    @property
    def _children(self) -> Children:
        return Children(self.world, self.client)

    @property
    def _draining(self) -> Draining:
        return Draining(self.world, self.client, self.events, self.clock)

    def _tell(self, view: View, target: "Target", step: Step) -> None:
        """Events for what a user would want to hear of: a new revision, and the moment it serves."""
        reference, plan = _about(view.custom), target.assignment.plan
        where = f"pool {plan.pool}, {plan.engine} {plan.checkpoint.precision} {plan.layout}"
        if target.name not in view.workloads:
            why = view.decided.decision.moved_because if view.decided else ""
            message = f"Revision {target.name}: {where}" + (f", because {why}" if why else "")
            self.events.record(reference, type="Normal", reason="RevisionCreated", message=message)
        if view.serving and step.serving != view.serving:
            message = f"Revision {step.serving} serves now; {view.serving} drains"
            self.events.record(reference, type="Normal", reason="RevisionServes", message=message)
        for name in step.remove:
            self.events.record(reference, type="Normal", reason="RevisionDrained", message=f"Revision {name} is gone")

    def _tell_failure(self, custom: Custom[ModelDeployment], failed: Failures) -> None:
        """An event for who watches, and placement looks for another place at once."""
        if failed.new is None:
            return
        self.events.record(_about(custom), type="Warning", reason="FailedToStart", message=failed.new.message)
        self.world.stale_tenants.add((custom.namespace, custom.name))
        self.world.place_soon()

    def _proposal(self, custom: Custom[ModelDeployment], old: ModelDeploymentStatus) -> ProposalStatus | None:
        if self.world.proposals is None:
            return old.proposal
        return self.world.proposals.get((custom.namespace, custom.name))

    def _tell_proposal(
        self, custom: Custom[ModelDeployment], before: ProposalStatus | None, after: ProposalStatus | None
    ) -> None:
        change = proposal_change(before, after)
        if change is not None:
            self.events.record(_about(custom), type="Normal", reason=change[0], message=change[1])

    async def _report(self, custom: Custom[ModelDeployment], status: dict[str, Any], changes: Changes) -> None:
        if status == custom.status:
            return
        manifest = {
            "apiVersion": MODEL_DEPLOYMENTS.api_version,
            "kind": MODEL_DEPLOYMENTS.kind,
            "metadata": {"name": custom.name, "namespace": custom.namespace, "uid": custom.uid},
            "status": status,
        }
        live = await self.client.apply(manifest, subresource="status")
        keep_reply(self.world, custom, live)
        changes.lines.append(_headline(status))


@dataclass(frozen=True, slots=True)
class Target:
    """The revision to come to; `rendered` only where it is not pinned yet."""

    name: str
    assignment: Assignment
    rendered: RenderedRevision | None


def _about(custom: Custom[ModelDeployment]) -> Reference:
    return Reference(MODEL_DEPLOYMENTS, custom.namespace, custom.name, custom.uid)


def _refusals(custom: Custom[ModelDeployment]) -> tuple[Refusal, ...]:
    if custom.parsed is None or custom.refusals:
        return custom.refusals
    return unsupported(custom.parsed.spec)


def _gives_up_first(view: View, target: str) -> bool:
    """Whether the old revision goes before the new one serves; once it has begun, also after a restart."""
    if view.custom.parsed is None or view.custom.parsed.spec.rollout.surge_policy is not SurgePolicy.RECREATE:
        return False
    if view.decided is not None and view.decided.decision.reason == DecisionReason.RECREATE:
        return True
    pods = view.pods_of(view.serving)
    return view.serving != target and bool(pods) and all(pod.leaving for pod in pods)


def _sooner(seconds: float | None, wait: Removal | Failures | None) -> float | None:
    ends = (seconds, wait.look_again_seconds if wait else None)
    return min((end for end in ends if end is not None), default=None)


def _number(view: View) -> Any:
    return lambda name: view.revisions[name].number


def _waits_for(kind: str, field: str, name: str, cure: str) -> Outcome:
    refusal = Refusal(field, name, f"this {kind} does not exist", cure)
    return _waits(f"{kind}NotFound", refusal)


def _waits(reason: str, refusal: Refusal) -> Outcome:
    return Outcome(waits_for=refusal, waits_reason=reason, look_again_seconds=_ABSENT_REFERENT_SECONDS)


def _scaled(manifest: dict[str, Any], replicas: int) -> dict[str, Any]:
    if manifest["kind"] != DEPLOYMENTS.kind:
        return manifest
    return {**manifest, "spec": {**unscaled(manifest)["spec"], "replicas": replicas}}


def _headline(status: Mapping[str, Any]) -> str:
    ready: dict[str, str] = next((item for item in status["conditions"] if item["type"] == "Ready"), {})
    return f"Ready={ready.get('status')} ({ready.get('reason')})"
