"""Switches for faults: each is bounded, counted, and may be held to some verbs and kinds."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from penstock.cluster.fake.answers import Answer

__all__ = ["Faults", "Rule"]

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(slots=True)
class Rule:
    """Delays `count` matching requests, and refuses them where `code` is not 0; empty verbs or kinds match all."""

    code: int
    count: int
    retry_after: int | None = None
    seconds: float = 0.0
    verbs: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    def matches(self, verb: str, plural: str) -> bool:
        """True while it has requests left to refuse and this is one of them."""
        return self.count > 0 and (not self.verbs or verb in self.verbs) and (not self.kinds or plural in self.kinds)


@dataclass(slots=True)
class Faults:
    """What goes wrong; every switch is bounded or off, and `injected` counts what it did.

    `before_write` and `after_write` are called with the number of each write, before it is looked at and after it was
    committed, its answer still unsent: whoever raises or kills there is between any two writes.
    """

    rules: list[Rule] = field(default_factory=list)
    latency_seconds: float = 0.0
    blackout: bool = False
    duplicate_events: int = 0
    dropped_deletes: int = 0
    reordered_events: int = 0
    before_write: Callable[[int], None] | None = None
    after_write: Callable[[int], None] | None = None
    writes: int = 0
    injected: Counter[str] = field(default_factory=Counter)

    def fail(
        self, code: int, *, count: int = 1, retry_after: int | None = None, verbs: str = "", kinds: str = ""
    ) -> None:
        """Answer the next `count` matching requests with `code`; `verbs` and `kinds` are words apart by spaces."""
        about = frozenset(verbs.split()), frozenset(kinds.split())
        self.rules.append(Rule(code, count, retry_after, 0.0, *about))

    def delay(self, seconds: float, *, count: int = 1, verbs: str = "", kinds: str = "") -> None:
        """Let the next `count` matching requests wait."""
        self.rules.append(Rule(0, count, None, seconds, frozenset(verbs.split()), frozenset(kinds.split())))

    async def strike(self, verb: str, plural: str) -> None:
        """Whatever is switched on for this request."""
        if self.blackout:
            self.injected["blackout"] += 1
            raise ConnectionAbortedError
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        for rule in tuple(self.rules):
            if rule.matches(verb, plural):
                await self._apply(rule)
        if verb in _WRITES:
            self.writes += 1
            if self.before_write is not None:
                self.before_write(self.writes)

    def committed(self, verb: str) -> None:
        """A write was committed; its answer is not sent yet."""
        if verb in _WRITES and self.after_write is not None:
            self.after_write(self.writes)

    async def _apply(self, rule: Rule) -> None:
        rule.count -= 1
        if rule.seconds:
            self.injected["delay"] += 1
            await asyncio.sleep(rule.seconds)
        if rule.code:
            self.injected[str(rule.code)] += 1
            reason = _REASONS.get(rule.code, "InternalError")
            raise Answer(rule.code, reason, "injected", retry_after=rule.retry_after)

    def take(self, name: str) -> bool:
        """True while the counted switch of that name has something left."""
        left: int = getattr(self, name)
        if left <= 0:
            return False
        setattr(self, name, left - 1)
        self.injected[name] += 1
        return True


_REASONS = {429: "TooManyRequests", 503: "ServiceUnavailable", 504: "Timeout", 410: "Expired"}
