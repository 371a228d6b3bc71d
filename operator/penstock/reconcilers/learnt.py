"""What is learnt from engines, kept in one ConfigMap: written by the leader alone and only when it really changed."""

import json
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock.api.integers import INT53_MAX
from penstock.cluster.client import Client
from penstock.cluster.errors import NotFound
from penstock.cluster.resources import CONFIG_MAPS
from penstock.errors import ClusterError
from penstock.planner.accuracy import StepTimes
from penstock.planner.corrections import CorrectionKey, Corrections, calls_for_a_new_plan
from penstock.planner.learnt import NOTHING_LEARNT, Learnt, kv_key
from penstock.planner.plan import Plan

__all__ = ["LEARNT_CONFIG_MAP", "LearntBook", "LearntStore", "decode_learnt", "encode_learnt"]

_log = logging.getLogger(__name__)

LEARNT_CONFIG_MAP = "penstock-learnt"
_VERSION = 1
_MOST_ENTRIES = 2000
_LONGEST_KEY = 400
_MATERIAL = 0.05


@dataclass(slots=True)
class LearntBook:
    """What is known so far. `learnt` is what plans are made with: the same object until a value really changed.

    `dirty`: it is not stored as it is.
    """

    kv_tokens: dict[str, int] = field(default_factory=dict)
    corrections: Corrections = field(default_factory=Corrections.none)
    learnt: Learnt = NOTHING_LEARNT
    dirty: bool = False
    _planned: dict[CorrectionKey, float] = field(default_factory=dict)

    def recall(self, kept: Learnt) -> None:
        """Begin with what was stored."""
        self.kv_tokens, self.corrections = dict(kept.kv_tokens), kept.corrections
        self.learnt, self.dirty = kept, False
        self._planned = {key: kept.corrections.factor(key) for key in kept.corrections.entries}

    def note_kv_tokens(self, plan: Plan, tokens: int) -> bool:
        """An engine said how much its KV cache holds; True where plans should be made anew."""
        key = kv_key(plan)
        known = self.learnt.kv_tokens.get(key, plan.memory.kv_tokens)
        if key in self.kv_tokens and not _differs(self.kv_tokens[key], tokens):
            return False
        self.kv_tokens.pop(key, None)
        self.kv_tokens[key] = tokens
        self._changed()
        return calls_for_a_new_plan(max(known, 1), tokens)

    def note_step_times(self, plan: Plan, times: StepTimes, now: datetime) -> bool:
        """How long a replica took for a token; True where plans should be made anew."""
        key = CorrectionKey(plan.checkpoint.model, plan.accelerator, plan.engine)
        self.corrections = self.corrections.learnt(key, measured=times.measured, modelled=times.modelled, now=now)
        factor = self.corrections.factor(key)
        if _differs(self.learnt.corrections.factor(key), factor):
            self._changed()
        if not calls_for_a_new_plan(self._planned.get(key, 1.0), factor):
            return False
        self._planned[key] = factor
        return True

    def _changed(self) -> None:
        """The newest are kept: of too many, the oldest go."""
        self.kv_tokens = dict(list(self.kv_tokens.items())[-_MOST_ENTRIES:])
        self.corrections = self.corrections.kept(list(self.corrections.entries)[-_MOST_ENTRIES:])
        self.learnt, self.dirty = Learnt(dict(self.kv_tokens), self.corrections), True


def _differs(old: float, new: float) -> bool:
    return abs(new - old) > _MATERIAL * abs(old)


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
    document = {
        "version": _VERSION,
        "kvTokens": dict(learnt.kv_tokens),
        "corrections": learnt.corrections.document(),
    }
    return json.dumps(document, indent=0)


def decode_learnt(text: str) -> Learnt:
    """What can be read of it; entries that are no sound figure are left out, another version is as good as none."""
    try:
        document = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return NOTHING_LEARNT
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        return NOTHING_LEARNT
    return Learnt(_tokens(document.get("kvTokens")), Corrections.from_document(_table(document.get("corrections"))))


def _tokens(values: Any) -> dict[str, int]:
    sound = {
        key: value
        for key, value in _table(values).items()
        if type(value) is int and 0 < value <= INT53_MAX and len(key) <= _LONGEST_KEY
    }
    return dict(list(sound.items())[-_MOST_ENTRIES:])


def _table(values: Any) -> dict[str, Any]:
    """The newest of them."""
    return dict(list(values.items())[-_MOST_ENTRIES:]) if isinstance(values, dict) else {}
