"""ModelDeployment: gather, decide the next step of the roll-out, apply what differs, report.

The order of the writes is what keeps serving whole: pin the new revision, make its children, move the
Service, and only then take from the old one. Killed between any two of them, the next pass goes on.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refusal, Refused
from penstock.api.supported import unsupported
from penstock.cluster.client import Client
from penstock.cluster.errors import NotFound
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
from penstock.planner.plan import Assignment
from penstock.reconcilers.children import CHILD_KINDS, Changes, Children
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.deployment_status import Outcome, build_status
from penstock.reconcilers.keys import Key
from penstock.reconcilers.revisions import RevisionRecord, child_name, next_number, pinned, unscaled, with_digests
from penstock.reconcilers.view import View, gather
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
        if custom is None or custom.deleting:
            return Result()
        changes = Changes()
        view = gather(self.world, custom)
        outcome = await self._act(view, changes)
        if outcome is None:
            return Result()
        await self._report(gather(self.world, custom), outcome, changes)
        if changes:
            # What we wrote ourselves comes back as no event.
            self.world.route_soon()
            _log.info("%s: %s", key, "; ".join(changes.lines))
        return Result(requeue_after=outcome.look_again_seconds)

    async def _act(self, view: View, changes: Changes) -> Outcome | None:
        """None where there is nothing to report: placement has not answered yet, or the deployment is gone."""
        refusals = _refusals(view.custom)
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
        step = next_step([view.state_of(name)], target=name, serving=view.serving, wanted=view.wanted)
        await self._carry_out(view, step, {}, changes)
        return outcome

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
        await self._carry_out(view, step, manifests, changes)
        self._tell(view, target, step)
        return Outcome(target=target.name, step=step)

    def _step(self, view: View, target: "Target") -> Step:
        names = dict.fromkeys([*view.revisions, *view.workloads, target.name])
        decided = view.decided
        return next_step(
            [view.state_of(name) for name in names],
            target=target.name,
            serving=view.serving,
            wanted=view.wanted,
            replace=decided is not None and decided.decision.reason == "Recreate",
        )

    async def _lives(self, custom: Custom[ModelDeployment]) -> bool:
        """Ask the API server before the first create: a ghost parent gets no children."""
        try:
            live = await self.client.get(MODEL_DEPLOYMENTS, custom.name, custom.namespace)
        except NotFound:
            live = {"metadata": {"uid": ""}}
        if live["metadata"].get("uid") == custom.uid:
            return True
        self.world.deployments.remove(custom.namespace, custom.name, custom.uid)
        return False

    async def _absent_referent(self, view: View) -> Outcome | None:
        """A Secret or PriorityClass that pods would wait for; looked up only before a revision is made."""
        spec = view.deployment.spec
        secret = spec.credentials_ref
        if secret is not None:
            field, name = "spec.credentialsRef.name", secret.name
            if not await self._found(SECRETS, name, view.custom.namespace):
                return _waits_for("Secret", field, name, f"Create it with the key '{secret.key}'")
        priority = spec.pod.priority_class_name
        if priority is not None and not await self._found(PRIORITY_CLASSES, priority, None):
            return _waits_for("PriorityClass", "spec.pod.priorityClassName", priority, "Name one that exists")
        return None

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
    ) -> None:
        await self._ensure(view, step.serving, step, manifests, changes)
        for name in step.scales:
            if name != step.serving:
                await self._ensure(view, name, step, manifests, changes)
        for name in step.remove:
            await self._remove(view, name, changes)

    async def _ensure(
        self,
        view: View,
        name: str,
        step: Step,
        manifests: dict[str, tuple[dict[str, Any], ...]],
        changes: Changes,
    ) -> None:
        """Bring the children of one revision to what is pinned, at the step's replicas; then the Service."""
        record = view.revisions.get(name)
        if record is None:
            return
        replicas = step.scales.get(name, 0)
        differing = [child for child in record.digests if self._differs(view, record, child, replicas)]
        if differing:
            pinned_manifests = manifests.get(name) or await self._pinned(record)
            for manifest in pinned_manifests:
                if child_name(manifest) in differing:
                    await self._children.apply(_scaled(manifest, replicas), changes)
        if name == step.serving:
            await self._ensure_service(view, record, changes)

    def _differs(self, view: View, record: RevisionRecord, child: tuple[str, str], replicas: int) -> bool:
        if child[0] == DEPLOYMENTS.kind:
            workload = view.workloads.get(record.revision)
            return workload is None or workload.digest != record.digests[child] or workload.replicas != replicas
        live = view.children.get(child)
        return live is None or live.digest != record.digests[child]

    async def _ensure_service(self, view: View, record: RevisionRecord, changes: Changes) -> None:
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

    def _tell(self, view: View, target: "Target", step: Step) -> None:
        """Events for what a user would want to hear of: a new revision, and the moment it serves."""
        custom = view.custom
        reference = Reference(MODEL_DEPLOYMENTS, custom.namespace, custom.name, custom.uid)
        plan = target.assignment.plan
        where = f"pool {plan.pool}, {plan.engine} {plan.checkpoint.precision} TP{plan.tensor_parallel}"
        if target.name not in view.workloads:
            why = view.decided.decision.moved_because if view.decided else ""
            message = f"Revision {target.name}: {where}" + (f", because {why}" if why else "")
            self.events.record(reference, type="Normal", reason="RevisionCreated", message=message)
        if view.serving and step.serving != view.serving:
            message = f"Revision {step.serving} serves now; {view.serving} drains"
            self.events.record(reference, type="Normal", reason="RevisionServes", message=message)
        for name in step.remove:
            self.events.record(reference, type="Normal", reason="RevisionDrained", message=f"Revision {name} is gone")

    async def _report(self, view: View, outcome: Outcome, changes: Changes) -> None:
        custom = view.custom
        status = build_status(view, outcome, now=self.clock.now())
        if status == custom.status:
            return
        manifest = {
            "apiVersion": MODEL_DEPLOYMENTS.api_version,
            "kind": MODEL_DEPLOYMENTS.kind,
            "metadata": {"name": custom.name, "namespace": custom.namespace, "uid": custom.uid},
            "status": status,
        }
        live = await self.client.apply(manifest, subresource="status")
        self.world.deployments.put(Custom.of(live, ModelDeployment))
        changes.lines.append(_headline(status))


@dataclass(frozen=True, slots=True)
class Target:
    """The revision to come to; `rendered` only where it is not pinned yet."""

    name: str
    assignment: Assignment
    rendered: RenderedRevision | None


def _refusals(custom: Custom[ModelDeployment]) -> tuple[Refusal, ...]:
    if custom.parsed is None or custom.refusals:
        return custom.refusals
    return unsupported(custom.parsed.spec)


def _number(view: View) -> Any:
    return lambda name: view.revisions[name].number


def _waits_for(kind: str, field: str, name: str, cure: str) -> Outcome:
    refusal = Refusal(field, name, f"this {kind} does not exist", cure)
    return Outcome(waits_for=refusal, waits_reason=f"{kind}NotFound", look_again_seconds=_ABSENT_REFERENT_SECONDS)


def _scaled(manifest: dict[str, Any], replicas: int) -> dict[str, Any]:
    if manifest["kind"] != DEPLOYMENTS.kind:
        return manifest
    return {**manifest, "spec": {**unscaled(manifest)["spec"], "replicas": replicas}}


def _headline(status: Mapping[str, Any]) -> str:
    ready: dict[str, str] = next((item for item in status["conditions"] if item["type"] == "Ready"), {})
    return f"Ready={ready.get('status')} ({ready.get('reason')})"
