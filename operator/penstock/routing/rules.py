"""A Route's rules as the table has them. What is left out never loosens a rule; where it would, the rule refuses.

A rule that refuses keeps taking its requests, so that none slips through to a laxer rule below it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from penstock.api.backends import Backend as Reference
from penstock.api.refusals import Refusal
from penstock.api.route import CacheMode, Constraints, RouteMatch, RouteRule
from penstock.catalogue.blocs import bloc_names, countries_of
from penstock.routing.inputs import RouteInput
from penstock.routing.levels import Levels
from penstock.routing.limits import crossed, limits_of
from penstock.routing.problems import Finding, Kind, Problem, ProblemReason
from penstock.routing.supply import Source, Supply
from penstock_policy.table import Match, Rule, Share

__all__ = ["BuiltRoute", "RuleBook"]

_NOT_ACTED_ON = "is not acted on by this release"


@dataclass(frozen=True, slots=True)
class BuiltRoute:
    """The rules of a Route in their order, what they lead to by the table's name for it, and what is wrong."""

    rules: tuple[Rule, ...]
    sources: Mapping[str, Source]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A rule's backends that are there."""

    shares: tuple[Share, ...]
    fallback: tuple[str, ...]
    sources: Mapping[str, Source]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class RuleBook:
    """Makes rules for one gateway; `blocked` says why none of them may answer, None where they may."""

    supply: Supply
    levels: Levels
    currency: str
    blocked: Finding | None = None

    def of(self, route: RouteInput) -> BuiltRoute:
        """All rules of the Route."""
        rules: list[Rule] = []
        sources: dict[str, Source] = {}
        problems: list[Problem] = []
        for position, rule in enumerate(route.spec.rules):
            place = f"spec.rules[{position}]"
            choice = self._choose(route, rule, place)
            findings = (*self._findings(rule, place), *choice.findings)
            rules.append(self._rule(rule, choice, findings))
            sources |= choice.sources
            problems += [finding.of(Kind.ROUTE, route.key, rule.name) for finding in findings]
        return BuiltRoute(tuple(rules), sources, tuple(problems))

    def _rule(self, rule: RouteRule, choice: _Choice, findings: Sequence[Finding]) -> Rule:
        constraints = rule.constraints or Constraints()
        return Rule(
            name=rule.name,
            shares=choice.shares,
            match=_match(rule.match, self.levels),
            fallback=choice.fallback,
            countries=_countries(constraints),
            max_price_micros=self._ceiling(constraints),
            limits=limits_of(rule),
            problem=self._problem(choice, findings),
        )

    def _problem(self, choice: _Choice, findings: Sequence[Finding]) -> str:
        refusing = [finding for finding in findings if finding.refuses]
        if self.blocked is not None:
            refusing.append(self.blocked)
        if refusing:
            return " ".join(str(finding.refusal) for finding in refusing)
        if choice.sources:
            return ""
        return f"None of its backends is left. {' '.join(str(finding.refusal) for finding in findings)}"

    def _choose(self, route: RouteInput, rule: RouteRule, place: str) -> _Choice:
        shares: list[Share] = []
        fallback: list[str] = []
        sources: dict[str, Source] = {}
        findings: list[Finding] = []
        for where, reference, weight in _references(rule, place):
            source = self.supply.find(route, reference, where)
            if isinstance(source, Finding):
                findings.append(source)
                continue
            sources[source.backend_name] = source
            if weight is None:
                fallback.append(source.backend_name)
            else:
                shares.append(Share(source.backend_name, weight))
        return _Choice(tuple(shares), tuple(fallback), sources, tuple(findings))

    def _findings(self, rule: RouteRule, place: str) -> Iterator[Finding]:
        """What is wrong with the rule whatever it refers to."""
        yield from _unsupported(rule, place)
        yield from self._unknown_levels(rule.match or RouteMatch(), place)
        yield from _unknown_jurisdictions(rule.constraints or Constraints(), place)
        yield from self._other_currency(rule.constraints or Constraints(), place)
        yield from _no_weight(rule, place)
        late = crossed(rule, place)
        yield from () if late is None else (late,)

    def _unknown_levels(self, match: RouteMatch, place: str) -> Iterator[Finding]:
        for position, level in enumerate(match.sensitivities):
            if level not in self.levels.names:
                reason = f"is none of the gateway's levels ({self.levels.told}), so the rule refuses every level"
                where = f"{place}.match.sensitivities[{position}]"
                refusal = Refusal(where, level, reason, "Name one of them")
                yield Finding(ProblemReason.LEVEL_UNKNOWN, refusal, refuses=True)

    def _ceiling(self, constraints: Constraints) -> int | None:
        ceiling = constraints.max_price_per_million_tokens
        return None if ceiling is None else ceiling.money.micro

    def _other_currency(self, constraints: Constraints, place: str) -> Iterator[Finding]:
        ceiling = constraints.max_price_per_million_tokens
        if ceiling is not None and ceiling.currency != self.currency:
            where = f"{place}.constraints.maxPricePerMillionTokens.currency"
            reason = f"is not {self.currency}, in which this gateway compares prices"
            refusal = Refusal(where, ceiling.currency, reason, f"State the ceiling in {self.currency}")
            yield Finding(ProblemReason.PRICE_NOT_COMPARABLE, refusal, refuses=True)


def _references(rule: RouteRule, place: str) -> Iterator[tuple[str, Reference, int | None]]:
    """Each reference with its field and its weight, None for the fallback's."""
    for position, backend in enumerate(rule.backends):
        yield f"{place}.backends[{position}]", backend, backend.weight
    for position, hop in enumerate(rule.fallback):
        yield f"{place}.fallback[{position}]", hop, None


def _match(match: RouteMatch | None, levels: Levels) -> Match:
    if match is None:
        return Match()
    # Which level was meant by a name that is none cannot be known, so such a rule takes them all, to refuse them.
    known = all(level in levels.names for level in match.sensitivities)
    tokens = match.prompt_tokens
    return Match(
        tasks=frozenset(match.tasks),
        sensitivities=levels.all_of(match.sensitivities) if known else frozenset(),
        tiers=frozenset(match.tiers),
        teams=frozenset(match.teams),
        headers=tuple(sorted((header.name.lower(), header.value) for header in match.headers)),
        min_prompt_tokens=(tokens.minimum if tokens else None) or 0,
        max_prompt_tokens=tokens.maximum if tokens else None,
    )


def _countries(constraints: Constraints) -> frozenset[str] | None:
    if not constraints.jurisdictions:
        return None
    return frozenset[str]().union(*(countries_of(code) or frozenset() for code in constraints.jurisdictions))


def _unknown_jurisdictions(constraints: Constraints, place: str) -> Iterator[Finding]:
    for position, code in enumerate(constraints.jurisdictions):
        if countries_of(code) is None:
            reason = "is neither a country by ISO 3166 nor a bloc that is known"
            cure = f"Name countries, or one of {', '.join(bloc_names())}"
            refusal = Refusal(f"{place}.constraints.jurisdictions[{position}]", code, reason, cure)
            yield Finding(ProblemReason.JURISDICTION_UNKNOWN, refusal, refuses=True)


def _unsupported(rule: RouteRule, place: str) -> Iterator[Finding]:
    if rule.verify is not None:
        checks = ", ".join(check.type for check in rule.verify.checks)
        # Answers that nobody checked are not what was asked for.
        refusal = Refusal(f"{place}.verify", checks, _NOT_ACTED_ON, "Remove it, and check the answers at the client")
        yield Finding(ProblemReason.NOT_SUPPORTED, refusal, refuses=True)
    if rule.cache is not None and rule.cache.mode is not CacheMode.DISABLED:
        refusal = Refusal(f"{place}.cache.mode", rule.cache.mode, _NOT_ACTED_ON, "Write `mode: Disabled`")
        yield Finding(ProblemReason.NOT_SUPPORTED, refusal)


def _no_weight(rule: RouteRule, place: str) -> Iterator[Finding]:
    if not any(backend.weight for backend in rule.backends):
        reason = "every backend has weight 0, which is for failing over only"
        refusal = Refusal(f"{place}.backends", "0", reason, "Give one of them a weight above 0")
        yield Finding(ProblemReason.NO_WEIGHT, refusal, refuses=True)
