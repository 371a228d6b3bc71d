"""What is known of each checkpoint, and asking the hub for what is not.

Order: what the resource itself gives, the built-in catalogue, the cache in the cluster, the hub. `FactsBook`
answers at once from memory; the reconciler of the key `modelfacts` goes and asks.
"""

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.api.modeldeployment import ModelDeploymentSpec, ModelMetadata, Source, SourceType
from penstock.api.quantities import parse_bytes
from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.models import ConfigFacts, ModelFacts, built_in, facts_from_config
from penstock.cluster.client import Client
from penstock.cluster.errors import Forbidden, NotFound
from penstock.cluster.resources import CONFIG_MAPS, SECRETS
from penstock.cluster.scope import Scope
from penstock.errors import HubError
from penstock.hub.cache import decode_answer, encode_answer
from penstock.hub.client import Hub, HubAnswer, HubQuestion
from penstock.hub.errors import HubUnavailable
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.secrets import no_secrets
from penstock.workqueue.workers import Result

__all__ = ["Checkpoint", "FactsBook", "FactsReconciler", "checkpoints_of"]

_log = logging.getLogger(__name__)

_ASK_AGAIN_SECONDS = 300.0
_ASK_SOON_SECONDS = 30.0
_LARGEST_BOOK = 10_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint that a spec names; `field` is where, for refusals."""

    field: str
    model: str
    revision: str | None
    source: Source
    metadata: ModelMetadata | None
    secret: tuple[str, str, str] | None

    @property
    def name(self) -> str:
        """As `Tenant.facts` calls it."""
        return f"{self.model}@{self.revision}" if self.revision else self.model

    @property
    def key(self) -> str:
        """A name that is safe for an object: what the hub's answer depends on."""
        mirror = self.source.hub.mirror_url if self.source.hub else ""
        text = json.dumps([self.model, self.revision, mirror, self.secret])
        return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def checkpoints_of(namespace: str, spec: ModelDeploymentSpec) -> Iterator[Checkpoint]:
    """The model's own checkpoint and its variants."""
    reference = spec.credentials_ref
    secret = (namespace, reference.name, reference.key) if reference else None
    yield Checkpoint("spec.model", spec.model, spec.revision, spec.source, spec.metadata, secret)
    for index, variant in enumerate(spec.variants):
        source = variant.source or Source()
        yield Checkpoint(
            f"spec.variants[{index}].model", variant.model, variant.revision, source, variant.metadata, secret
        )


@dataclass(slots=True)
class _Entry:
    question: Checkpoint
    askers: set[tuple[str, str]]
    facts: ModelFacts | None = None
    refusal: Refusal | None = None


@dataclass(slots=True)
class FactsBook:
    """What is known; the first asker of an unknown checkpoint sends somebody to the hub."""

    hub_enabled: bool
    entries: dict[str, _Entry] = field(default_factory=dict)

    def look_up(self, asker: tuple[str, str], checkpoint: Checkpoint) -> ModelFacts | Refusal:
        """The facts, or why there are none (yet)."""
        if checkpoint.metadata is not None:
            return _from_metadata(checkpoint, checkpoint.metadata)
        known = built_in(checkpoint.model)
        if known is not None:
            return known
        if checkpoint.source.type is not SourceType.HUB or not self.hub_enabled:
            return _needs_metadata(checkpoint, hub_enabled=self.hub_enabled)
        return self._remembered(asker, checkpoint)

    def unasked(self) -> Iterator[Key]:
        """Keys of the questions that nobody has an answer to."""
        for key, entry in self.entries.items():
            if entry.facts is None and entry.refusal is None:
                yield Key(Subject.MODEL_FACTS, "", key)

    def _remembered(self, asker: tuple[str, str], checkpoint: Checkpoint) -> ModelFacts | Refusal:
        if checkpoint.key not in self.entries and len(self.entries) >= _LARGEST_BOOK:
            self.entries.pop(next(iter(self.entries)))
        entry = self.entries.setdefault(checkpoint.key, _Entry(checkpoint, set()))
        entry.askers.add(asker)
        waiting = Refusal(checkpoint.field, checkpoint.name, "its config is being read from the hub", "Wait a moment")
        return entry.facts or entry.refusal or waiting


def _from_metadata(checkpoint: Checkpoint, metadata: ModelMetadata) -> ModelFacts | Refusal:
    field_name = checkpoint.field.removesuffix("model") + "metadata.config"
    try:
        config = json.loads(metadata.config)
    except ValueError as error:
        return Refusal(field_name, metadata.config, f"it is not JSON ({error})", "Paste the model's config.json")
    size = parse_bytes(metadata.weights_size) if metadata.weights_size else None
    return _facts(checkpoint, config, size, None)


def _facts(
    checkpoint: Checkpoint, config: Mapping[str, Any], size: int | None, revision: str | None
) -> ModelFacts | Refusal:
    request = ConfigFacts(model=checkpoint.model, config=config, weights_bytes=size, resolved_revision=revision)
    try:
        return facts_from_config(request)
    except Refused as refused:
        return refused.refusals[0]


def _needs_metadata(checkpoint: Checkpoint, *, hub_enabled: bool) -> Refusal:
    why = (
        "its source has no config that could be read"
        if hub_enabled
        else "it is not in the catalogue and the hub is off"
    )
    cure = f"Give its config.json in `{checkpoint.field.removesuffix('model')}metadata.config`"
    return Refusal(checkpoint.field, checkpoint.model, why, cure)


@dataclass(slots=True)
class FactsReconciler:
    """Answers one open question: the cluster's cache first, then the hub; tells those who asked."""

    book: FactsBook
    hub: Hub
    client: Client
    namespace: str
    tell: Callable[[str, str], None]
    scope: Scope = Scope()  # noqa: RUF009 - it is frozen

    async def reconcile(self, key: Key) -> Result:
        """Ask once; again soon while the hub is away, and later where it refused."""
        entry = self.book.entries.get(key.name)
        if entry is None or entry.facts is not None:
            return Result()
        again = await self._answer(entry)
        for asker in sorted(entry.askers):
            self.tell(*asker)
        return Result(requeue_after=again)

    async def _answer(self, entry: _Entry) -> float | None:
        question = entry.question
        try:
            answer = await self._cached(question) or await self._ask(question)
        except HubUnavailable as error:
            entry.refusal = Refusal(question.field, question.name, str(error), "Wait, or give its `metadata.config`")
            return _ASK_SOON_SECONDS
        except HubError as error:
            entry.refusal = Refusal(question.field, question.name, str(error), "Check the name and the credentials")
            return _ASK_AGAIN_SECONDS
        except Refused as refused:
            entry.refusal = refused.refusals[0]
            return _ASK_SOON_SECONDS if question.secret and self.scope.uses_secrets(question.secret[0]) else None
        known = _facts(question, answer.config, answer.weights_bytes, answer.resolved_revision)
        entry.facts, entry.refusal = (None, known) if isinstance(known, Refusal) else (known, None)
        return None

    async def _ask(self, question: Checkpoint) -> HubAnswer:
        mirror = question.source.hub.mirror_url if question.source.hub else ""
        token = await self._token(question)
        answer = await self.hub.facts(
            HubQuestion(model=question.model, revision=question.revision, token=token, mirror_url=mirror)
        )
        await self.client.apply(self._config_map(question, answer))
        return answer

    async def _cached(self, question: Checkpoint) -> HubAnswer | None:
        try:
            live = await self.client.get(CONFIG_MAPS, self._cache_name(question), self.namespace)
        except NotFound:
            return None
        return decode_answer(live.get("data", {}).get("answer", ""))

    async def _token(self, question: Checkpoint) -> str | None:
        if question.secret is None:
            return None
        namespace, name, key = question.secret
        refusal = no_secrets("spec.credentialsRef.name", name, namespace)
        if not self.scope.uses_secrets(namespace):
            raise Refused([refusal])
        try:
            secret = await self.client.get(SECRETS, name, namespace)
        except Forbidden as error:
            raise Refused([refusal]) from error
        except NotFound as error:
            message = f"Secret '{name}' does not exist in namespace '{namespace}'"
            raise HubUnavailable(message) from error
        return _decoded(secret, key, name)

    def _config_map(self, question: Checkpoint, answer: HubAnswer) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self._cache_name(question),
                "namespace": self.namespace,
                "labels": {"app.kubernetes.io/managed-by": "penstock", "penstock.dev/role": "model-facts"},
            },
            "data": {"model": question.name, "answer": encode_answer(answer)},
        }

    @staticmethod
    def _cache_name(question: Checkpoint) -> str:
        return f"penstock-model-{question.key}"


def _decoded(secret: dict[str, Any], key: str, name: str) -> str:
    value = (secret.get("data") or {}).get(key)
    if value is None:
        message = f"Secret '{name}' has no key '{key}'"
        raise HubUnavailable(message)
    return base64.b64decode(value).decode().strip()
