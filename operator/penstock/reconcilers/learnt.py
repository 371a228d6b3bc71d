"""What is learnt from engines, kept in one ConfigMap: written by the leader alone and only when it really changed."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from penstock.api.formats import EngineName
from penstock.api.integers import INT53_MAX
from penstock.cluster.client import Client
from penstock.cluster.errors import NotFound
from penstock.cluster.resources import CONFIG_MAPS
from penstock.errors import ClusterError
from penstock.planner.learnt import NOTHING_LEARNT, Learnt, kv_key, step_key
from penstock.planner.plan import Plan

__all__ = ["LEARNT_CONFIG_MAP", "LearntBook", "LearntStore", "decode_learnt", "encode_learnt"]

_log = logging.getLogger(__name__)

LEARNT_CONFIG_MAP = "penstock-learnt"
_VERSION = 1
_MOST_ENTRIES = 2000
_LONGEST_KEY = 400
_MATERIAL = 0.05
_WORTH_A_PLAN = 0.2
_WEIGHT_OF_THE_NEW = 0.1
_LEAST_STEP_TIME, _MOST_STEP_TIME = 0.5, 3.0
"""Beyond that something else is wrong, which no correction should hide."""


@dataclass(slots=True)
class LearntBook:
    """What is known so far. `learnt` is what plans are made with: the same object until a value really changed.

    `dirty`: it is not stored as it is.
    """

    kv_tokens: dict[str, int] = field(default_factory=dict)
    step_times: dict[str, float] = field(default_factory=dict)
    learnt: Learnt = NOTHING_LEARNT
    dirty: bool = False
    _planned: dict[str, float] = field(default_factory=dict)

    def recall(self, kept: Learnt) -> None:
        """Begin with what was stored."""
        self.kv_tokens, self.step_times = dict(kept.kv_tokens), dict(kept.step_times)
        self.learnt, self.dirty, self._planned = kept, False, dict(kept.step_times)

    def note_kv_tokens(self, plan: Plan, tokens: int) -> bool:
        """An engine said how much its KV cache holds; True where plans should be made anew."""
        key = kv_key(plan)
        known = self.learnt.kv_tokens.get(key, plan.memory.kv_tokens)
        if key in self.kv_tokens and not _differs(self.kv_tokens[key], tokens, _MATERIAL):
            return False
        _put(self.kv_tokens, key, tokens)
        self._changed()
        return _differs(known, tokens, _WORTH_A_PLAN)

    def note_step_time(self, plan: Plan, ratio: float) -> bool:
        """A replica's measured over modelled time; True where plans should be made anew."""
        key = step_key(plan.checkpoint.model, plan.accelerator, EngineName(plan.engine))
        old, known = self.step_times.get(key, 1.0), self.learnt.step_times.get(key, 1.0)
        new = min(max(old + _WEIGHT_OF_THE_NEW * (ratio - old), _LEAST_STEP_TIME), _MOST_STEP_TIME)
        _put(self.step_times, key, new)
        if _differs(known, new, _MATERIAL):
            self._changed()
        # What plans were made with moves only with them: small steps add up.
        if not _differs(self._planned.get(key, 1.0), new, _WORTH_A_PLAN):
            return False
        self._planned[key] = new
        return True

    def _changed(self) -> None:
        self.learnt = Learnt(dict(self.kv_tokens), {key: round(value, 3) for key, value in self.step_times.items()})
        self.dirty = True


def _differs(old: float, new: float, share: float) -> bool:
    return abs(new - old) > share * abs(old)


def _put(values: dict[str, Any], key: str, value: float) -> None:
    """The newest last; of too many the oldest goes."""
    values.pop(key, None)
    values[key] = value
    while len(values) > _MOST_ENTRIES:
        values.pop(next(iter(values)))


@dataclass(slots=True)
class LearntStore:
    """The ConfigMap. What cannot be read is learnt anew; nothing is written before it was read."""

    client: Client
    namespace: str
    read: bool = False

    async def load(self, book: LearntBook) -> None:
        """Read it once; again with the next call where the API server did not answer."""
        if self.read:
            return
        try:
            live = await self.client.get(CONFIG_MAPS, LEARNT_CONFIG_MAP, self.namespace)
        except NotFound:
            live = {}
        except ClusterError as error:
            _log.warning("what was learnt cannot be read: %s", error)
            return
        self.read = True
        book.recall(decode_learnt((live.get("data") or {}).get("learnt", "")))

    async def save(self, book: LearntBook) -> None:
        """Write it where it really changed."""
        if not (self.read and book.dirty):
            return
        book.dirty = False
        try:
            await self.client.apply(self._config_map(book.learnt))
        except ClusterError as error:
            book.dirty = True
            _log.warning("what was learnt cannot be stored: %s", error)

    def _config_map(self, learnt: Learnt) -> dict[str, Any]:
        labels = {"app.kubernetes.io/managed-by": "penstock", "penstock.dev/role": "learnt"}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": LEARNT_CONFIG_MAP, "namespace": self.namespace, "labels": labels},
            "data": {"learnt": encode_learnt(learnt)},
        }


def encode_learnt(learnt: Learnt) -> str:
    """As it is stored, a line per entry: people read it, too."""
    document = {"version": _VERSION, "kvTokens": dict(learnt.kv_tokens), "stepTimes": dict(learnt.step_times)}
    return json.dumps(document, indent=0)


def decode_learnt(text: str) -> Learnt:
    """What can be read of it; entries that are no sound figure are left out, another version is as good as none."""
    try:
        document = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return NOTHING_LEARNT
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        return NOTHING_LEARNT
    tokens = {key: round(value) for key, value in _sound(document.get("kvTokens"), 1, INT53_MAX).items()}
    return Learnt(tokens, _sound(document.get("stepTimes"), _LEAST_STEP_TIME, _MOST_STEP_TIME))


def _sound(values: Any, least: float, most: float) -> Mapping[str, float]:
    if not isinstance(values, dict):
        return {}
    numbers = {
        key: value for key, value in values.items() if isinstance(value, int | float) and len(key) <= _LONGEST_KEY
    }
    sound = {key: value for key, value in numbers.items() if isfinite(value) and least <= value <= most}
    return dict(list(sound.items())[-_MOST_ENTRIES:])
