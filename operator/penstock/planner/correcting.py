"""Plans as engines have shown them: those that never started are none, the others have the room that was reported."""

from dataclasses import replace

from penstock.planner.plan import Plan, Rejection, RejectionReason, plan_rejection
from penstock.planner.requirements import Requirements

__all__ = ["corrected"]


def corrected(wants: Requirements, plan: Plan) -> Plan | Rejection:
    """The plan with the room that its engine has shown; else why that is too little, or that it never started."""
    failed = next((each.why for each in wants.failed if each.is_of(plan)), "")
    if failed:
        return plan_rejection(plan, RejectionReason.FAILED_TO_START, failed)
    tokens = wants.learnt.room(plan)
    if tokens is None or tokens == plan.memory.kv_tokens:
        return plan
    known = replace(plan, memory=replace(plan.memory, kv_tokens=tokens))
    said = f"an engine with these settings reported room for {tokens:,} tokens"
    if tokens < plan.max_context_tokens:
        asked = wants.load.max_context_tokens
        if asked is not None and tokens < asked:
            cure = f"would work: `spec.workload.maxContextTokens` of at most {tokens:,}"
            message = f"{said}, a request may have {asked:,}; {cure}"
            return plan_rejection(plan, RejectionReason.CONTEXT_TOO_LARGE, message)
        known = replace(known, max_context_tokens=tokens)
    if tokens < wants.load.kv_tokens:
        message = f"{said}, the load of a replica needs {wants.load.kv_tokens:,}; would work: more replicas"
        return plan_rejection(plan, RejectionReason.NO_ROOM_FOR_LOAD, message)
    return known
