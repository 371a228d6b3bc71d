"""A Route in words: which backends are live in each rule and why the others are not, for status and terminals.

Words only: who may answer is asked of `penstock_policy.decide`, with the least demanding request that a rule takes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from penstock.api.quantities import Money
from penstock.routing.backends import Idle
from penstock.routing.build import Built
from penstock.routing.problems import Kind, Problem
from penstock_policy.decision import Decision, Index, Reason, Refusal, Rejection, Request, decide
from penstock_policy.table import Backend, Consumer, Match, Route, Rule, Table

__all__ = ["Absence", "RouteExplanation", "RuleExplanation", "explain", "explain_all"]

_IDLE = {
    Idle.DRAINING: "it is being drained",
    Idle.NOT_SERVING: "it has no ready pod that serves",
    Idle.CREDENTIAL_UNKNOWN: "its API key is not among the gateway's credentials yet",
}


@dataclass(frozen=True, slots=True)
class Absence:
    """A backend of a rule that answers nothing, and why, as half a sentence."""

    backend: str
    why: str


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """One rule: who answers, in the order of its shares and its fallback, and who does not.

    `refusal` is why it refuses all that it takes, empty where it does not; `problems` are those that are its own.
    """

    rule: str
    live: tuple[str, ...]
    absent: tuple[Absence, ...]
    refusal: str
    problems: tuple[str, ...]

    @property
    def answers(self) -> bool:
        """True where somebody answers."""
        return bool(self.live) and not self.refusal

    @property
    def sentence(self) -> str:
        """All of it, for a condition's message."""
        if self.refusal:
            return f"Rule '{self.rule}' refuses what it takes: {self.refusal}"
        told = f"is answered by {', '.join(self.live)}" if self.live else "has nobody to answer"
        others = "".join(f"; not by {each.backend}: {each.why}" for each in self.absent)
        return " ".join((f"Rule '{self.rule}' {told}{others}.", *self.problems))


@dataclass(frozen=True, slots=True)
class RouteExplanation:
    """A Route: the names that reach it, its rules in order, and the problems that are of no single rule."""

    route: str
    model_names: tuple[str, ...]
    rules: tuple[RuleExplanation, ...]
    problems: tuple[str, ...]

    @property
    def degraded(self) -> bool:
        """True where a rule does not do all that it says, or the Route itself lacks something."""
        whole = all(rule.answers and not rule.absent and not rule.problems for rule in self.rules)
        return bool(self.problems) or not whole

    @property
    def headline(self) -> str:
        """One sentence for a condition; with what is wrong after it."""
        answering = sum(rule.answers for rule in self.rules)
        worse = [rule.sentence for rule in self.rules if rule.absent or rule.problems or not rule.answers]
        return " ".join((f"{answering} of {len(self.rules)} rules answer.", *self.problems, *worse))


def explain(built: Built, route: str) -> RouteExplanation | None:
    """The explanation of the Route `namespace/name`; None where the table does not have it."""
    found = [each for each in built.table.routes if each.name == route]
    return next(iter(_explained(built, found)), None)


def explain_all(built: Built) -> Mapping[str, RouteExplanation]:
    """Of every Route of the table."""
    return {each.route: each for each in _explained(built, built.table.routes)}


def _explained(built: Built, routes: Iterable[Route]) -> Iterable[RouteExplanation]:
    backends = {backend.name: backend for backend in built.table.backends}
    problems: dict[tuple[str, str], list[Problem]] = {}
    for problem in built.problems:
        if problem.kind is Kind.ROUTE:
            problems.setdefault((problem.name, problem.rule), []).append(problem)
    for route in routes:
        rules = (_rule(built, backends, rule, _told(problems.get((route.name, rule.name), ()))) for rule in route.rules)
        own = _told(problems.get((route.name, ""), ()))
        yield RouteExplanation(route.name, route.model_names, tuple(rules), own)


def _told(problems: Iterable[Problem]) -> tuple[str, ...]:
    return tuple(str(problem.refusal) for problem in problems)


def _rule(built: Built, backends: Mapping[str, Backend], rule: Rule, problems: tuple[str, ...]) -> RuleExplanation:
    named = dict.fromkeys((*(share.backend for share in rule.shares), *rule.fallback))
    answer = _least_demanding(built.table, rule, tuple(backends[name] for name in named))
    passed = {hop.name for hop in answer.hops} if isinstance(answer, Decision) else set()
    return RuleExplanation(
        rule=rule.name,
        live=tuple(name for name in named if name in passed),
        absent=tuple(
            Absence(each.backend, _why(built, backends[each.backend], rule, each)) for each in answer.rejected
        ),
        refusal=rule.problem,
        problems=problems,
    )


def _least_demanding(table: Table, rule: Rule, backends: tuple[Backend, ...]) -> Decision | Refusal:
    probe = replace(rule, match=Match())
    alone = replace(table, routes=(Route("", ("",), (probe,)),), backends=backends, consumers=())
    floor = min(rule.match.sensitivities, default=0)
    caller = Consumer("", "", frozenset({""}), sensitivity_floor=floor)
    return decide(Index.of(alone), Request("", caller, prompt_tokens=rule.match.min_prompt_tokens), 0.0)


def _why(built: Built, backend: Backend, rule: Rule, rejection: Rejection) -> str:
    match rejection.reason:
        case Reason.NOT_SERVING:
            return _IDLE[built.idle[backend.name]]
        case Reason.SENSITIVITY:
            return f"it may see nothing above '{built.table.levels[backend.max_sensitivity]}'"
        case Reason.JURISDICTION:
            return _outside(backend, rule.countries or frozenset())
        case Reason.PRICE:
            return _dear(built.table.currency, backend, rule.max_price_micros or 0)
        case Reason.CONTEXT_LENGTH:
            return f"it takes at most {backend.context_tokens} tokens"
        case _:
            return f"it is turned away as {rejection.reason}"


def _outside(backend: Backend, allowed: frozenset[str]) -> str:
    if not backend.countries:
        return "nobody said in which countries it answers, which passes no jurisdiction"
    return f"it may answer in {', '.join(sorted(backend.countries - allowed))}, outside the rule's jurisdictions"


def _dear(currency: str, backend: Backend, ceiling: int) -> str:
    if backend.price is None:
        return "its price is not known, which passes no ceiling"
    dearest = Money(currency, max(backend.price.input_micros, backend.price.output_micros))
    return f"a million tokens cost up to {dearest}, above {Money(currency, ceiling)}"
