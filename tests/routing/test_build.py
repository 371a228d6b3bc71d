"""The whole table: the samples as they are, and sizes that real gateways have."""

from dataclasses import replace
from pathlib import Path

import yaml

from builders.routing import OLDEST, ask, backend_of, consumer, deployment, hosted, inputs, local, provider, route, rule
from penstock.api.consumer import Consumer
from penstock.api.inferencegateway import InferenceGateway
from penstock.api.meta import Resource
from penstock.api.modelprovider import ModelProvider
from penstock.api.route import Route
from penstock.api.validation import parse
from penstock.routing.build import Built, build_table
from penstock.routing.inputs import (
    ConsumerInput,
    Credentials,
    Deployment,
    Gateway,
    Inputs,
    ProviderInput,
    RouteInput,
)
from penstock.routing.problems import ProblemReason
from penstock_policy.decision import Decision, Refusal
from penstock_policy.wire import digest_of, encode

_SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"


def _samples() -> list[Resource]:
    files = [path for number in ("03", "04", "05") for path in _SAMPLES.glob(f"{number}-*.yaml")]
    return [parse(each, strict=True) for path in files for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def _of_samples(*deployments: Deployment) -> Inputs:
    resources = _samples()
    routes, providers, consumers = [], [], []
    for each in resources:
        identity = (each.metadata.namespace or "", each.metadata.name, OLDEST)
        match each:
            case Route():
                routes.append(RouteInput(*identity, each.spec, each.metadata.labels))
            case ModelProvider():
                providers.append(ProviderInput(*identity, each.spec, each.metadata.labels))
            case Consumer():
                consumers.append(ConsumerInput(*identity, each.spec, each.metadata.labels))
            case InferenceGateway():
                gateway = Gateway(each.metadata.namespace or "", each.metadata.name, each.spec, OLDEST)
            case _:
                pass
    return Inputs(
        gateway=gateway,
        routes=tuple(routes),
        providers=tuple(providers),
        consumers=tuple(consumers),
        deployments=deployments,
        keys={consumer.key: f"sha-of-{consumer.key}" for consumer in consumers},
        credentials=Credentials("1", {provider.key: provider.name for provider in providers}),
    )


def _built(*names: str) -> Built:
    return build_table(_of_samples(*(deployment(name, namespace="assistants") for name in names)), 1)


def test_the_samples_build_with_the_problems_that_they_are_known_to_have() -> None:
    """Three rules are to be verified, which nothing does yet; the fourth answers."""
    built = _built("llama-70b-eu", "tenant-adapters", "small-extractor", "llama-70b")
    assert [(each.rule, each.reason, each.refusal.field, each.refuses) for each in built.problems] == [
        ("legal", ProblemReason.NOT_SUPPORTED, "spec.rules[0].verify", True),
        ("support", ProblemReason.NOT_SUPPORTED, "spec.rules[1].verify", True),
        ("summarise", ProblemReason.NOT_SUPPORTED, "spec.rules[2].verify", True),
        ("summarise", ProblemReason.NOT_SUPPORTED, "spec.rules[2].cache.mode", False),
    ]
    assert built.table.routes[0].model_names == ("assistant", "assistants/assistant", "assistants/auto", "auto")
    assert [each.admitted for each in built.attachments] == [True] * 5
    (bot,) = built.table.consumers
    assert (bot.name, bot.team, bot.tier, bot.sensitivity_floor) == ("assistants/support-bot", "support", "standard", 1)
    answered = ask(built.table, "assistant", consumer=bot)
    assert isinstance(answered, Decision)
    assert [hop.name for hop in answered.hops] == [
        "deployment/assistants/llama-70b",
        "provider/gateway/mistral/mistral-large",
        "provider/gateway/anthropic/claude-sonnet",
    ]
    refused = ask(built.table, "assistant", consumer=bot, task="legal")
    assert isinstance(refused, Refusal)


def test_the_samples_without_their_deployments() -> None:
    """What a cluster sees that applied the Routes first: hosted models answer where they may."""
    built = _built()
    missing = [each.rule for each in built.problems if each.reason is ProblemReason.BACKEND_NOT_FOUND]
    assert missing == ["legal", "support", "summarise", "everything-else"]
    answered = ask(built.table, "auto", sensitivity_asked="medium")
    assert isinstance(answered, Decision)
    assert [hop.kind for hop in answered.hops] == ["Provider", "Provider"]
    refused = ask(built.table, "auto", sensitivity_asked="high")
    assert isinstance(refused, Refusal)
    assert refused.status == 403


def test_the_generation_is_the_operators_and_decides_nothing() -> None:
    world = inputs(route(), deployment())
    first, second = build_table(world, 1).table, build_table(world, 2).table
    assert (first.generation, second.generation, first.gateway) == (1, 2, "gateway/main")
    assert digest_of(first) == digest_of(second)


def test_a_rotated_credential_is_another_table() -> None:
    world = inputs(route("assistant", rule("all", hosted())), provider())
    later = replace(world, credentials=replace(world.credentials, version="8"))
    first, second = build_table(world, 1).table, build_table(later, 1).table
    assert (first.credential_version, second.credential_version) == ("7", "8")
    assert digest_of(first) != digest_of(second)


def test_a_drained_deployment_goes_and_the_rest_stays() -> None:
    world = inputs(route("assistant", rule("all", local(), local("backup"))), deployment(), deployment("backup"))
    one, other = world.deployments
    after = build_table(replace(world, deployments=(replace(one, draining=True), other)), 2).table
    assert backend_of(after).endpoints == ()
    answered = ask(after)
    assert isinstance(answered, Decision)
    assert [hop.name for hop in answered.hops] == ["deployment/team/backup"]


def test_a_thousand_backends_and_ten_thousand_keys() -> None:
    backends = [deployment(f"d{number:04}") for number in range(1000)]
    asked = [
        route(f"r{number:03}", rule("all", *(local(f"d{number * 10 + each:04}") for each in range(10))), names=["x"])
        for number in range(100)
    ]
    keys = [consumer(f"c{number:05}") for number in range(10_000)]
    built = build_table(inputs(*backends, *asked, *keys), 1)
    assert (len(built.table.backends), len(built.table.consumers)) == (1000, 10_000)
    # Well inside the 32 MiB that the server takes.
    assert len(encode(built.table)) < 2 * 2**20
