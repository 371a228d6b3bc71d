"""Settings that are known to fail, to be refused or to be pointless: how many of them the planner would choose.

Each row is put to the rules in the order in which the planner asks them: hardware, engine, format, sharding, memory
under the row's own flags, and the limits of what is ever set. What is merely pointless is put to the whole planner.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.counting import RowCount
from bench.figures import figure
from bench.sizing.cells import number, read_rows, whole
from bench.sizing.hardware import RunningEngine, accelerators_of, engines_of
from bench.sizing.models import Skip, resolve
from penstock.api.formats import EngineName
from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeploymentSpec
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.behaviour import BudgetScope, behaviour_of
from penstock.catalogue.engines import engine_supports
from penstock.catalogue.models import ModelFacts
from penstock.planner.fleet import FleetSnapshot, Node, Pool, Tenant
from penstock.planner.memory import MemoryRequest, default_utilization, plan_memory
from penstock.planner.placement import place
from penstock.planner.plan import Plan
from penstock.planner.sharding import shard_problem

__all__ = ["Setting", "run", "setting_of", "verdict"]

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_NODES, _NODE_GPUS = 4, 8
_LEAN_SEQUENCES, _LEAN_BATCHED_TOKENS, _LEAN_CONTEXT = 16, 2048, 2048
_MOST_BATCHED_TOKENS = 8192
_SCALE = {"": 1, "k": 1024, "m": 1024 * 1024}
_SHARE = re.compile(r"(?:util\w*|fraction(?:[- ]static)?)\s*[=:]?\s*(0?\.\d+)")
_CONTEXT = re.compile(r"(?:max[-_ ](?:model|seq)[-_ ]len|ctx|context(?: of)?)\s*[=:]?\s*(\d[\d,.]*)\s*([km]?)\b")
_CONTEXT_BEHIND = re.compile(r"(\d[\d,.]*)\s*([km]?)(?:[- ]token)?s?\s*(?:context|ctx)\b")
_SEQUENCES = re.compile(r"max[-_ ]num[-_ ]seqs\s*[=:]?\s*(\d+)")
_BATCHED = re.compile(
    r"(?:mbt|max[-_ ]num[-_ ]batched[-_ ]tokens|chunked[- ]prefill(?:[- ]size)?)\s*(?:>=|[=:>])?\s*(\d+)"
)
_STAGES = re.compile(r"\bpp\s*=?(\d+)|x\s*pp(\d+)")
_RANKS = re.compile(r"\bdp\s*=?(\d+)")
_WHOLE_EXPERTS = re.compile(r"\bep\s*=?\d*\b|expert[- ]parallel")
_CUT_EXPERTS = re.compile(r"(?:without|no|not|w/o|minus|sans)\s+(?:ep\b|expert)")
_SHORTAGE = re.compile(
    r"\boom|out of memory|room|\d\s*(?:gi?b|tb)\b|refus|did not start|fail|crash|exceed", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a row sets; None where it leaves the default (`is_default`) or anything (then the leanest is judged)."""

    share_percent: int | None
    context: int | None
    sequences: int | None
    batched_tokens: int | None
    tensor_parallel: int
    pipeline_parallel: int
    attention_ranks: int
    expert_parallel: bool
    is_default: bool


def run(data: Path) -> None:
    """Print `infeasible_chosen` and `infeasible_used`."""
    counted, rules, chosen = RowCount(), Counter[str](), list[str]()
    for row in read_rows(data / "infeasible.csv"):
        found = verdict(row, data)
        if isinstance(found, Skip):
            counted.skip(found.reason)
            continue
        counted.used += 1
        if found:
            rules[found.split(":")[0]] += 1
        else:
            chosen.append(f"{row.get('model')} on {row.get('gpus')} x {row.get('gpu')}: {row.get('setting')}")
    figure("infeasible_chosen", len(chosen), "rows", **counted.details(), by_rule=dict(rules), chosen=chosen)
    figure("infeasible_used", counted.share, "share", **counted.details())


def verdict(row: Mapping[str, str], data: Path) -> str | Skip:
    """The rule that keeps the planner from the row's setting, on every GPU that it names; empty where none does."""
    facts = resolve(row.get("model", ""), row.get("precision", ""), row=row, data=data)
    if isinstance(facts, Skip):
        return facts
    accelerators = accelerators_of(row.get("gpu", ""))
    if not accelerators:
        return f"accelerator: '{row.get('gpu')}' is not known, and what is not known is never chosen"
    verdicts = [_on(row, facts, accelerator) for accelerator in accelerators]
    return next((found for found in verdicts if not found), verdicts[0])


def setting_of(row: Mapping[str, str]) -> Setting:
    """The numbers in the row's cells and words."""
    words = f"{row.get('engine', '')} {row.get('setting', '')}".lower()
    ranks = _first(_RANKS, words) or 1
    size = max(whole(row.get("tp", "")) or whole(row.get("gpus", "")) or 1, ranks)
    gpus = whole(row.get("gpus", "")) or size
    stages = _first(_STAGES, words) or (gpus // size if gpus % size == 0 else 0) or 1
    share = _SHARE.search(words)
    return Setting(
        share_percent=round(float(share[1]) * 100) if share else None,
        context=_amount(_CONTEXT, words) or _amount(_CONTEXT_BEHIND, words),
        sequences=_first(_SEQUENCES, words),
        batched_tokens=_first(_BATCHED, words),
        tensor_parallel=size,
        pipeline_parallel=stages,
        attention_ranks=ranks,
        expert_parallel=_WHOLE_EXPERTS.search(words) is not None and _CUT_EXPERTS.search(words) is None,
        is_default="default" in words,
    )


def _on(row: Mapping[str, str], facts: ModelFacts, accelerator: Accelerator) -> str:
    named = row.get("engine", "").strip().lower()
    engines = engines_of(named)
    if not engines and named not in {"", "any", "-"}:
        return f"engine: {named} is none that Penstock runs"
    found = [
        _with(row, facts, accelerator, engine) for engine in engines or [RunningEngine(name, "") for name in EngineName]
    ]
    return next((rule for rule in found if not rule), found[0])


def _with(row: Mapping[str, str], facts: ModelFacts, accelerator: Accelerator, engine: RunningEngine) -> str:
    setting = setting_of(row)
    if not engine_supports(engine.name, accelerator, facts.precision):
        return f"format: {engine.name} does not run {facts.precision} on {accelerator.name}"
    problem = shard_problem(
        facts,
        accelerator,
        setting.tensor_parallel,
        expert_parallel=setting.expert_parallel,
        attention_ranks=setting.attention_ranks,
        pipeline_parallel=setting.pipeline_parallel,
        across_nodes=setting.tensor_parallel > _NODE_GPUS,
    )
    if problem:
        return f"sharding: {problem}"
    if _SHORTAGE.search(row.get("outcome", "")):
        return _shortage(setting, facts, accelerator, engine) or _beyond_limits(setting, facts, engine)
    return _beyond_limits(setting, facts, engine) or _not_preferred(row, setting, facts, accelerator)


def _shortage(setting: Setting, facts: ModelFacts, accelerator: Accelerator, engine: RunningEngine) -> str:
    plan = plan_memory(_request(setting, facts, accelerator, engine))
    longest = facts.max_context_tokens if setting.is_default else _LEAN_CONTEXT
    context = min(setting.context or longest, facts.max_context_tokens)
    if plan.kv_tokens >= context:
        return ""
    return f"memory: {plan.kv_tokens} KV tokens for a context of {context}"


def _request(setting: Setting, facts: ModelFacts, accelerator: Accelerator, engine: RunningEngine) -> MemoryRequest:
    """Under the row's flags; the rest by the engine's defaults where it states any, else as lean as can be."""
    behaviour = behaviour_of(engine.name, engine.version)
    is_stated = setting.is_default or setting.context is not None or setting.share_percent is not None
    lean = (_LEAN_SEQUENCES, _LEAN_BATCHED_TOKENS)
    sequences, batched = behaviour.defaults_on(accelerator) if is_stated else lean
    is_static = setting.share_percent is not None and behaviour.utilization_covers is BudgetScope.WEIGHTS_AND_CACHE
    return MemoryRequest(
        facts=facts,
        accelerator=accelerator,
        engine=engine.name,
        engine_version=engine.version,
        tensor_parallel=setting.tensor_parallel,
        pipeline_parallel=setting.pipeline_parallel,
        attention_ranks=setting.attention_ranks,
        expert_parallel=setting.expert_parallel,
        max_sequences=setting.sequences or sequences,
        max_batched_tokens=setting.batched_tokens or batched,
        max_context_tokens=setting.context or facts.max_context_tokens,
        utilization_percent=setting.share_percent or behaviour.utilization_percent,
        budget=BudgetScope.WEIGHTS_AND_CACHE if is_static else BudgetScope.EVERYTHING,
    )


def _beyond_limits(setting: Setting, facts: ModelFacts, engine: RunningEngine) -> str:
    """What the planner never sets, whatever fits."""
    most = default_utilization(engine.name, engine.version or "99")
    if setting.share_percent is not None and setting.share_percent > most:
        return f"limits: {setting.share_percent} % of the memory, and never more than {most} % is planned"
    if setting.batched_tokens is not None and setting.batched_tokens > _MOST_BATCHED_TOKENS:
        return (
            f"limits: steps of {setting.batched_tokens} tokens, and never more than {_MOST_BATCHED_TOKENS} are planned"
        )
    if setting.context is not None and setting.context > facts.max_context_tokens:
        return f"limits: a context of {setting.context}, and the model reads {facts.max_context_tokens}"
    return ""


def _not_preferred(row: Mapping[str, str], setting: Setting, facts: ModelFacts, accelerator: Accelerator) -> str:
    """What the planner prefers with the model's own 16-bit checkpoint at hand; empty where it is this very setting."""
    plan = _planned(facts, accelerator)
    if plan is None:
        return "preference: nothing is planned on this GPU"
    layout = (setting.tensor_parallel, setting.pipeline_parallel)
    is_layout = not whole(row.get("tp", "")) or layout == (plan.tensor_parallel, plan.pipeline_parallel)
    if is_layout and plan.checkpoint.precision is facts.precision:
        return ""
    return f"preference: {plan.checkpoint.precision} on {plan.gpus} GPUs goes first"


def _planned(facts: ModelFacts, accelerator: Accelerator) -> Plan | None:
    """The plan of the whole planner for this model in both formats on nodes of this GPU."""
    unquantised = resolve(facts.model, "bf16")
    own = facts if isinstance(unquantised, Skip) else unquantised
    document = {
        "model": "own",
        "variants": [{"precision": facts.precision, "model": "row"}] if own is not facts else [],
        "workload": {"promptTokens": 1024, "outputTokens": 512, "concurrency": 8},
    }
    pool = {"nodeSelector": {"gpu": "one-kind"}, "price": {"perGPUHour": "1.00"}}
    nodes = tuple(Node(f"node-{number}", gpus=_NODE_GPUS, used=0) for number in range(_NODES))
    fleet = FleetSnapshot(
        pools=(Pool("pool", InferencePoolSpec.model_validate(pool), accelerator, nodes),),
        tenants=(
            Tenant(
                key=("bench", "model"),
                created=_NOW,
                spec=ModelDeploymentSpec.model_validate(document),
                replicas=1,
                namespace_labels={},
                facts={"own": replace(own, model="own"), "row": replace(facts, model="row")},
            ),
        ),
    )
    assignment = place(fleet, _NOW)["bench", "model"].assignment
    return assignment.plan if assignment else None


def _first(pattern: re.Pattern[str], words: str) -> int | None:
    found = pattern.search(words)
    return int(next(group for group in found.groups() if group)) if found else None


def _amount(pattern: re.Pattern[str], words: str) -> int | None:
    """`16000`, `86k`, `1M` tokens."""
    found = pattern.search(words)
    if found is None:
        return None
    return round(number(found[1].replace(",", "").rstrip(".")) * _SCALE[found[2]]) or None
