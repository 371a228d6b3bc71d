"""What is learnt from engines, kept in one ConfigMap: written by the leader alone and only when it really changed."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock.access.names import LEARNT_CONFIG_MAP
from penstock.api.integers import INT53_MAX
from penstock.cluster.client import Client
from penstock.cluster.errors import NotFound
from penstock.cluster.resources import CONFIG_MAPS
from penstock.errors import ClusterError
from penstock.planner.accuracy import StepTimes
from penstock.planner.corrections import CorrectionKey, Corrections, calls_for_a_new_plan
from penstock.planner.learnt import NOTHING_LEARNT, Learnt, kv_key
from penstock.planner.plan import Plan
from penstock.render.names import revision_digest

__all__ = ["LearntBook", "LearntStore"]

_log = logging.getLogger(__name__)

_VERSION = 1
_MOST_ENTRIES = 2000
_LONGEST_KEY = 400
_MATERIAL = 0.05


@dataclass(slots=True)
class LearntBook:
    """What is known so far; `dirty`: it really changed since it was stored."""

    kv_tokens: dict[str, int] = field(default_factory=dict)
    corrections: Corrections = field(default_factory=Corrections.none)
    dirty: bool = False
    _stored: dict[CorrectionKey, float] = field(default_factory=dict)
    _planned: dict[CorrectionKey, float] = field(default_factory=dict)

    def of(self, models: Iterable[str], engine_args: Sequence[str] = ()) -> Learnt:
        """What concerns these checkpoints; of KV caches, what engines with the same arguments of their user said."""
        wanted, mark = set(models), _mark(engine_args)
        said = ((*key.partition("#"), value) for key, value in self.kv_tokens.items())
        tokens = [(key, value) for key, _, told, value in said if told == mark and key.partition("|")[0] in wanted]
        factors = [(key, self.corrections.factor(key)) for key in self.corrections.entries if key.model in wanted]
        told = [(key, factor) for key, factor in factors if factor != 1]
        return Learnt(tuple(sorted(tokens)), tuple(sorted(told))) if tokens or told else NOTHING_LEARNT

    def note_kv_tokens(self, plan: Plan, tokens: int, engine_args: Sequence[str] = ()) -> bool:
        """An engine said how much its KV cache holds; True where plans should be made anew."""
        mark = _mark(engine_args)
        key = f"{kv_key(plan)}#{mark}" if mark else kv_key(plan)
        known = self.kv_tokens.pop(key, None)
        if known is not None and not _differs(known, tokens):
            self.kv_tokens[key] = known
            return False
        self.kv_tokens[key] = tokens
        self._changed()
        return calls_for_a_new_plan(known or max(plan.memory.kv_tokens, 1), tokens)

    def note_step_times(self, plan: Plan, times: StepTimes, now: datetime) -> bool:
        """How long a replica took for a token; True where plans should be made anew."""
        key = CorrectionKey(plan.checkpoint.model, plan.accelerator, plan.engine)
        self.corrections = self.corrections.learnt(key, measured=times.measured, modelled=times.modelled, now=now)
        factor = self.corrections.factor(key)
        if _differs(self._stored.get(key, 1.0), factor):
            self._stored[key] = factor
            self._changed()
        if not calls_for_a_new_plan(self._planned.get(key, 1.0), factor):
            return False
        self._planned[key] = factor
        return True

    def text(self) -> str:
        """As it is stored, a line per entry: people read it, too."""
        document = {"version": _VERSION, "kvTokens": self.kv_tokens, "corrections": self.corrections.document()}
        return json.dumps(document, indent=0)

    def recall(self, text: str) -> None:
        """Begin with what can be read of it; another version is as good as none."""
        document = _document(text)
        self.kv_tokens = _tokens(document.get("kvTokens"))
        self.corrections = Corrections.from_document(_table(document.get("corrections")))
        self._stored = {key: self.corrections.factor(key) for key in self.corrections.entries}
        self._planned, self.dirty = dict(self._stored), False

    def _changed(self) -> None:
        """The newest are kept: of too many, the oldest go."""
        self.dirty = True
        if len(self.kv_tokens) > _MOST_ENTRIES:
            self.kv_tokens = dict(list(self.kv_tokens.items())[-_MOST_ENTRIES:])
        if len(self.corrections.entries) > _MOST_ENTRIES:
            self.corrections = self.corrections.kept(list(self.corrections.entries)[-_MOST_ENTRIES:])


def _mark(engine_args: Sequence[str]) -> str:
    """Of a user's own arguments, any of which may change how much the KV cache holds; empty where there are none."""
    return revision_digest(tuple(engine_args)) if engine_args else ""


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
        book.recall((live.get("data") or {}).get("learnt", ""))

    async def save(self, book: LearntBook) -> None:
        """Write it where it really changed."""
        if not (self.read and book.dirty):
            return
        book.dirty = False
        try:
            await self.client.apply(self._config_map(book.text()))
        except ClusterError as error:
            book.dirty = True
            _log.warning("what was learnt cannot be stored: %s", error)

    def _config_map(self, text: str) -> dict[str, Any]:
        labels = {"app.kubernetes.io/managed-by": "penstock", "penstock.dev/role": "learnt"}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": LEARNT_CONFIG_MAP, "namespace": self.namespace, "labels": labels},
            "data": {"learnt": text},
        }


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    known = isinstance(document, dict) and document.get("version") == _VERSION
    return document if known else {}


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
