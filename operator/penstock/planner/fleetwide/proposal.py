"""The whole fleet planned anew: what runs is free to move, a move costs its cold start, and what would pay is proposed.

Nothing moves by this: a proposal is shown, and hysteresis.py says when it may be carried out.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from penstock.api.quantities import Money
from penstock.api.refusals import Refused
from penstock.planner.allocation.problem import Allocation
from penstock.planner.allocation.solve import solve
from penstock.planner.capacity import Ledger
from penstock.planner.fleet import DeploymentKey, FleetSnapshot
from penstock.planner.fleetwide.asks import Ask, Room, linked, room_of
from penstock.planner.fleetwide.movers import fixed_promises, movers, waiters
from penstock.planner.fleetwide.problem_of import Statement, state
from penstock.planner.offers import market_of
from penstock.planner.plan import Decision, Plan
from penstock.planner.prices import at_todays_prices
from penstock.planner.spending import Purse

__all__ = ["LEAST_SAVING_PERCENT", "Proposal", "propose"]

LEAST_SAVING_PERCENT = 10
"""Of what a deployment, or a group that moves together, costs now: less is not worth a cold start (sizing.md 5.3)."""
_GAP = 0.01
_MOST_NAMED = 3
_MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class Proposal:
    """A better place for a deployment that serves. `target` None: it would give its GPUs to a higher priority.

    `saving` is per hour for all replicas (below 0: it costs more), None where the prices cannot be compared.
    `together` are the deployments whose moves pay only with this one, itself among them.
    """

    key: DeploymentKey
    current: Plan
    target: Plan | None
    replicas: int
    saving: Money | None
    reason: str
    together: frozenset[DeploymentKey]


def propose(
    fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision], *, time_limit_seconds: float = 5.0
) -> dict[DeploymentKey, Proposal]:
    """What would be better than the decisions of a pass over the same fleet.

    The same fleet gives the same answer, unless the time limit ends the search.
    """
    fleet = at_todays_prices(fleet)
    ledger, market = Ledger.of(fleet), market_of(fleet.pools, fleet.rates)
    moving = movers(fleet, decisions, market, ledger)
    if not moving:
        return {}
    waiting = waiters(fleet, decisions, market)
    rooms = _rooms(fleet, decisions, moving, ledger)
    asks, purse = (*moving, *waiting), _purse(fleet, moving, ledger)
    try:
        statement, groups = _answer(asks, rooms, purse, time_limit_seconds)
    except Refused:
        # Numbers that no solver takes, such as an absurd price: nothing is compared with them.
        return {}
    return {proposal.key: proposal for group in groups for proposal in _worth(statement, group)}


def _answer(
    asks: tuple[Ask, ...], rooms: Mapping[str, Room], purse: Purse, seconds: float
) -> tuple[Statement, tuple[tuple["_Change", ...], ...]]:
    """What the plan of the whole fleet changes, in groups.

    The solver adds preferences up. Whoever it pushes away for nobody who goes before is held, and it is asked again.
    """
    held: frozenset[DeploymentKey] = frozenset()
    for _ in range(_MOST_TRIES):
        statement = state((_held(ask) if ask.key in held else ask for ask in asks), rooms, purse)
        allocation = solve(statement.problem, time_limit_seconds=seconds, gap=_GAP)
        groups = tuple(_groups(tuple(_changes(statement, allocation))))
        pushed = frozenset(change.ask.key for group in groups for change in _pushed(group))
        if not pushed:
            break
        held |= pushed
    return statement, groups


def _held(ask: Ask) -> Ask:
    """It stays, or comes nearer to what its users prefer."""
    here = ask.distance(ask.running) if ask.running else len(ask.pools)
    return replace(ask, candidates=tuple(each for each in ask.candidates if ask.distance(each.plan) <= here))


def _rooms(
    fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision], moving: Iterable[Ask], ledger: Ledger
) -> dict[str, Room]:
    """Room as it would be if everything that may move were gone."""
    for node, gpus in fixed_promises(fleet, decisions).items():
        ledger.free[node] = ledger.free.get(node, 0) - gpus
    keys = {ask.key for ask in moving}
    for tenant in fleet.tenants:
        if tenant.key in keys:
            for node, gpus in tenant.held.items():
                ledger.free[node] += gpus
    return {pool.name: room_of(pool, ledger) for pool in fleet.pools}


def _purse(fleet: FleetSnapshot, moving: Iterable[Ask], ledger: Ledger) -> Purse:
    """What the limits leave if everything that may move cost nothing; what runs is never over a limit."""
    ledger.purse.forgive()
    for ask in moving:
        if ask.running is not None and fleet.limits:
            ledger.purse.spend(ask.key[0], ask.running, -ask.standing)
    return ledger.purse


@dataclass(frozen=True, slots=True)
class _Change:
    """What the answer changes of one ask; `source` None: it gets a first place, `target` None: it loses its place."""

    ask: Ask
    source: Plan | None
    target: Plan | None
    before: int | None
    after: int | None

    @property
    def pools(self) -> frozenset[str]:
        return frozenset(plan.pool for plan in (self.source, self.target) if plan is not None)

    @property
    def saving(self) -> int | None:
        """Micro-units per hour; None where one of the prices cannot be compared."""
        return None if self.before is None or self.after is None else self.before - self.after

    @property
    def moves(self) -> bool:
        return self.source is not None and self.target is not None

    @property
    def nearer(self) -> bool:
        """True where it comes to a pool that its users prefer."""
        return self._comes_by < 0

    @property
    def farther(self) -> bool:
        """True where it leaves a pool that its users prefer."""
        return self._comes_by > 0

    @property
    def _comes_by(self) -> int:
        if self.source is None or self.target is None:
            return 0
        return self.ask.distance(self.target) - self.ask.distance(self.source)

    @property
    def pays(self) -> bool:
        return _pays([self])


def _changes(statement: Statement, allocation: Allocation) -> Iterator[_Change]:
    for name, ask in statement.asks.items():
        options, ways = statement.demands[name].options, statement.ways[name]
        given = [(index, count) for index, count in allocation.replicas.get(name, {}).items() if count > 0]
        index, count = given[0] if given else (None, 0)
        target = ways[index].plan if index is not None and count >= ask.replicas else None
        if target == ask.running:
            continue
        here = next((option for option, way in zip(options, ways, strict=True) if way.plan == ask.running), None)
        compared = {way.plan: statement.compares(way.plan) for way in ways}
        before = here.cost * ask.replicas if here and ask.running and compared[ask.running] else None
        after = options[index].cost * ask.replicas if index is not None and target and compared[target] else None
        yield _Change(ask, ask.running, target, before, after)


def _groups(changes: tuple[_Change, ...]) -> Iterator[tuple[_Change, ...]]:
    """Changes that touch the same pools: one may need the other's room."""
    for indices in linked([change.pools for change in changes]):
        yield tuple(changes[index] for index in indices)


def _pays(changes: Iterable[_Change]) -> bool:
    """True where all together save enough; nobody knows that where one of the prices cannot be compared."""
    saved = cost = 0
    for change in changes:
        if change.saving is None or change.before is None:
            return False
        saved, cost = saved + change.saving, cost + change.before
    return saved * 100 > LEAST_SAVING_PERCENT * cost


def _pushed(group: Iterable[_Change]) -> list[_Change]:
    """Who would leave a pool that its users prefer though nobody waits, and not only for who goes before by priority.

    So a move that is carried out never gives a reason for the way back.
    """
    changes = tuple(group)
    if any(change.source is None for change in changes):
        return []
    least = min((change.ask.priority for change in changes if change.nearer), default=None)
    return [each for each in changes if each.farther and (least is None or each.ask.priority >= least)]


def _worth(statement: Statement, group: tuple[_Change, ...]) -> Iterator[Proposal]:
    """Proposals of a group that is worth its moves.

    It serves somebody who waits, comes nearer to what is preferred, or saves enough, those moves counted that cost
    something and are needed for it.
    """
    arriving = [change for change in group if change.source is None]
    moving = [change for change in group if change.moves]
    wanted = [change for change in moving if change.nearer or (change.pays and not change.farther)]
    chosen = _with_enablers(moving, wanted, arriving)
    if _pushed(group) or not (arriving or any(change.nearer for change in wanted) or _pays(chosen)):
        return
    giving_way = [change for change in group if change.target is None] if arriving else []
    keys = frozenset(change.ask.key for change in (*chosen, *giving_way))
    joint = bool(arriving) or len(chosen) > len(wanted)
    for change in (*chosen, *giving_way):
        yield _proposal(statement, change, arriving, keys if joint else frozenset({change.ask.key}))


def _with_enablers(moving: list[_Change], wanted: list[_Change], arriving: list[_Change]) -> list[_Change]:
    """Those wanted, and whoever leaves a pool that one of them, or somebody who waits, comes to."""
    chosen = list(wanted)
    entered = {change.target.pool for change in (*chosen, *arriving) if change.target is not None}
    while more := [each for each in moving if each not in chosen and each.source and each.source.pool in entered]:
        chosen += more
        entered.update(change.target.pool for change in more if change.target is not None)
    return chosen


def _proposal(
    statement: Statement, change: _Change, arriving: list[_Change], together: frozenset[DeploymentKey]
) -> Proposal:
    if change.source is None:
        message = "a proposal is about something that serves"
        raise ValueError(message)
    saving = None if change.saving is None else Money(statement.currency, change.saving)
    return Proposal(
        key=change.ask.key,
        current=change.source,
        target=change.target,
        replicas=change.ask.replicas,
        saving=saving,
        reason=_reason(change, arriving, saving),
        together=together,
    )


def _reason(change: _Change, arriving: list[_Change], saving: Money | None) -> str:
    names = [each.ask.name for each in arriving[:_MOST_NAMED]]
    names += [f"{len(arriving) - _MOST_NAMED} more"] if len(arriving) > _MOST_NAMED else []
    if change.target is None:
        highest = max(each.ask.priority for each in arriving)
        whose = f"of priority {highest} against {change.ask.priority}"
        return f"its GPUs would go to {', '.join(names)} {whose}, and it has no other place"
    if change.nearer:
        return f"pool {change.target.pool} is preferred and has room again"
    if arriving:
        return f"it makes room for {', '.join(names)}{_price(saving)}"
    return f"pool {change.target.pool} serves the same{_price(saving)}"


def _price(saving: Money | None) -> str:
    if saving is None or saving.micro == 0:
        return ""
    if saving.micro > 0:
        return f" and saves {saving}/h"
    return f" and costs {Money(saving.currency, -saving.micro)}/h more"
