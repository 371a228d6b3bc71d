"""What is known of a checkpoint: the order of the sources, and what is asked once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders.fleet import CHECKPOINTS
from penstock.api.modeldeployment import ModelDeploymentSpec
from penstock.api.refusals import Refusal
from penstock.catalogue.models import ModelFacts
from penstock.cluster.client import Client
from penstock.cluster.fake import FakeAPIServer
from penstock.cluster.scope import Scope
from penstock.hub.client import Hub, HubAnswer, HubQuestion
from penstock.reconcilers.facts import Checkpoint, FactsBook, FactsReconciler, checkpoints_of

CHAT = ("team", "chat")
CONFIG = """{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
"intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
"vocab_size": 128256, "max_position_embeddings": 8192, "torch_dtype": "bfloat16"}"""


def question(**fields: Any) -> Checkpoint:
    """The first checkpoint of a spec."""
    return next(checkpoints_of("team", ModelDeploymentSpec.model_validate({"model": "nobody/knows", **fields})))


def test_the_catalogue_answers_at_once() -> None:
    """Nobody is sent to the hub."""
    book = FactsBook(hub_enabled=True)
    assert isinstance(book.look_up(CHAT, question(model="Qwen/Qwen3-8B")), ModelFacts)
    assert list(book.unasked()) == []


def test_what_the_resource_gives_comes_first() -> None:
    """An air-gapped site pastes the config."""
    book = FactsBook(hub_enabled=False)
    answer = book.look_up(CHAT, question(metadata={"config": CONFIG, "weightsSize": "16Gi"}))
    assert isinstance(answer, ModelFacts)
    assert (answer.layers, answer.weights_bytes) == (32, 16 * 2**30)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "the hub is off": ({}, "the hub is off"),
    "a config that is no JSON": ({"metadata": {"config": "{oops"}}, "not JSON"),
    "a config without numbers": ({"metadata": {"config": "{}"}}, ""),
}


@pytest.mark.parametrize(("fields", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_known_teaches(fields: dict[str, Any], words: str) -> None:
    """The field, and what would work."""
    answer = FactsBook(hub_enabled=False).look_up(CHAT, question(**fields))
    assert isinstance(answer, Refusal)
    assert words in str(answer)
    assert "config" in str(answer)


def test_a_question_is_asked_once_for_all_who_ask_it() -> None:
    """Two deployments of one model, one key."""
    book = FactsBook(hub_enabled=True)
    for asker in (CHAT, ("team", "other")):
        assert isinstance(book.look_up(asker, question()), Refusal)
    (key,) = book.unasked()
    assert book.entries[key.name].askers == {CHAT, ("team", "other")}


ANSWERS: dict[str, Callable[[Any], None]] = {
    "facts": lambda entry: setattr(entry, "facts", CHECKPOINTS["org/small"]),
    "a refusal": lambda entry: setattr(entry, "refusal", Refusal("spec.model", "nobody/knows", "it is gone", "")),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answered_question_is_not_asked_again(answer: Callable[[Any], None]) -> None:
    """Whatever the answer was."""
    book = FactsBook(hub_enabled=True)
    book.look_up(CHAT, question())
    (key,) = book.unasked()
    answer(book.entries[key.name])
    assert list(book.unasked()) == []
    assert "being read" not in str(book.look_up(CHAT, question()))


DIFFERENT = {
    "another revision": {"revision": "0123456789abcdef0123456789abcdef01234567"},
    "another mirror": {"source": {"hub": {"mirrorURL": "https://mirror.example.com"}}},
    "other credentials": {"credentialsRef": {"name": "hub", "key": "token"}},
}


@pytest.mark.parametrize("fields", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_the_answer_depends_on_is_part_of_the_key(fields: dict[str, Any]) -> None:
    """A private model's config is not given to whoever has no credentials."""
    assert question(**fields).key != question().key


class _NoHub(Hub):
    """Nobody goes to the hub without the token that was asked for."""

    def __init__(self) -> None:
        super().__init__(base_url="http://127.0.0.1:1")

    async def facts(self, question: HubQuestion) -> HubAnswer:
        raise AssertionError(question.model)


TOKENS: dict[str, tuple[Scope, bool]] = {"not named": (Scope(secrets=()), False), "without a Role": (Scope(), True)}


@pytest.mark.parametrize(("scope", "tried"), TOKENS.values(), ids=TOKENS.keys())
async def test_a_token_that_may_not_be_read(tmp_path: Path, scope: Scope, *, tried: bool) -> None:
    """The Secret is not even tried where it is not named; either way the field, the namespace and the cure are told."""
    book, told = FactsBook(hub_enabled=True), []
    book.look_up(CHAT, question(credentialsRef={"name": "hub", "key": "token"}))
    (key,) = book.unasked()
    async with FakeAPIServer() as server:
        server.authorizer = lambda access: access.resource != "secrets"
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        async with await Client.connect(kubeconfig=str(kubeconfig)) as client:
            facts = FactsReconciler(book, _NoHub(), client, "default", lambda *place: told.append(place), scope)
            result = await facts.reconcile(key)
        assert bool(server.requests["get", "secrets"]) is tried
    assert (result.requeue_after is not None) is tried
    assert told == [CHAT]
    answer = str(book.look_up(CHAT, question(credentialsRef={"name": "hub", "key": "token"})))
    for word in ("spec.credentialsRef.name", "'hub'", "'team'", "`secretNamespaces`"):
        assert word in answer
