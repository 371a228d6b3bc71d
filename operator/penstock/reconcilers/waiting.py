"""How long a deployment has waited for room in one pool: since the decision that said so first; pure.

The clock is kept with the decision, so that a status that cannot be written stops nothing, and in the status, so that
the next operator goes on with it. It is about this room for this spec: another pool or another spec waits anew, while
more replicas, another patience or another reason to wait in the same pool go on waiting.
"""

from datetime import datetime

from penstock.api.modeldeployment import ModelDeployment
from penstock.api.plan_status import WaitingStatus
from penstock.planner.plan import Decision, DecisionReason, RejectionReason
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.world import Decided

__all__ = ["known_wait", "next_wait"]

_WAITS: frozenset[str] = frozenset(
    {
        DecisionReason.PARTLY_PLACED,
        DecisionReason.WAITING_FOR_GROWTH,
        DecisionReason.WAITING_FOR_NODE,
        RejectionReason.QUOTA,
        RejectionReason.BUDGET,
    }
)
"""What falls back, for quota and money where no replica stands.

Who waits for room beside its older revision serves, and leaves no pool for it.
"""


def known_wait(custom: Custom[ModelDeployment], decided: Decided | None) -> WaitingStatus | None:
    """The wait of this very spec: as it was decided, or as the status tells who has decided nothing yet."""
    if decided is not None and decided.uid == custom.uid:
        wait = decided.waiting
    else:
        told = custom.status.get("waiting")
        wait = WaitingStatus.model_validate(told) if told else None
    return wait if wait is not None and wait.spec_digest == custom.digest else None


def next_wait(before: WaitingStatus | None, decision: Decision, digest: str, now: datetime) -> WaitingStatus | None:
    """The wait that a decision goes on with, begins (`before` None or for another pool) or ends."""
    if decision.assignment is None or decision.reason not in _WAITS:
        return None
    pool = decision.assignment.plan.pool
    if before is not None and before.pool == pool:
        return before
    return WaitingStatus(pool=pool, since_time=now.replace(microsecond=0), spec_digest=digest)
