"""Both sides consent: the gateway's owner admits namespaces, and so does the owner of each backend."""

from typing import Any

import pytest

from builders.routing import ALL, consumer, deployment, gateway, hosted, inputs, local, provider, route, rule, selected
from penstock.routing.admission import Attachment
from penstock.routing.build import build_table
from penstock.routing.inputs import Gateway, ProviderInput
from penstock.routing.problems import Kind, ProblemReason

ADMITTING: dict[str, tuple[dict[str, Any] | None, str, dict[str, str], bool]] = {
    "left out: its own namespace": (None, "gateway", {}, True),
    "left out: no other": (None, "team", {}, False),
    "same: its own": ({"namespaces": {"from": "Same"}}, "gateway", {}, True),
    "same: no other, whatever its labels": ({"namespaces": {"from": "Same"}}, "team", {"a": "b"}, False),
    "all": (ALL, "team", {}, True),
    "selector: the labels are there": (selected(tier="prod"), "team", {"tier": "prod", "more": "x"}, True),
    "selector: another value": (selected(tier="prod"), "team", {"tier": "test"}, False),
    "selector: no labels": (selected(tier="prod"), "team", {}, False),
    "selector: its own namespace needs the labels too": (selected(tier="prod"), "gateway", {}, False),
}


@pytest.mark.parametrize(("allowed", "namespace", "labels", "want"), ADMITTING.values(), ids=ADMITTING)
def test_the_gateway_admits_namespaces(
    allowed: dict[str, Any] | None, namespace: str, labels: dict[str, str], *, want: bool
) -> None:
    of = gateway(allowedRoutes=allowed)
    asking = route(namespace=namespace, labels=labels)
    built = build_table(inputs(asking, deployment(namespace=namespace), of=of), 1)
    assert built.attachments == (Attachment(Kind.ROUTE, asking.key, want),)
    assert [each.name for each in built.table.routes] == [asking.key] * want
    reasons = [(problem.kind, problem.reason, problem.refuses) for problem in built.problems]
    # Its bare name is another matter.
    assert ((Kind.ROUTE, ProblemReason.NOT_ADMITTED, True) in reasons) is not want


def _closed() -> Gateway:
    return gateway(allowedRoutes=None)


def test_a_consumer_of_a_namespace_that_is_not_admitted_is_left_out() -> None:
    built = build_table(inputs(consumer(), of=_closed()), 1)
    assert built.table.consumers == ()
    assert [(each.kind, each.reason) for each in built.problems] == [(Kind.CONSUMER, ProblemReason.NOT_ADMITTED)]


def test_a_provider_of_a_namespace_that_is_not_admitted_is_used_by_nobody() -> None:
    asking = route("assistant", rule("all", hosted(namespace="team")), namespace="gateway")
    built = build_table(inputs(asking, provider(allowedRoutes=ALL), of=_closed()), 1)
    assert built.table.backends == ()
    assert built.table.routes[0].rules[0].problem
    assert [(each.kind, each.reason) for each in built.problems] == [
        (Kind.PROVIDER, ProblemReason.NOT_ADMITTED),
        (Kind.ROUTE, ProblemReason.BACKEND_UNUSABLE),
    ]


def test_routes_and_consumers_of_another_gateway_are_passed_over() -> None:
    built = build_table(inputs(route(to="other"), consumer(to="other"), deployment()), 1)
    assert (built.table.routes, built.table.consumers, built.attachments, built.problems) == ((), (), (), ())


CONSENTING: dict[str, tuple[dict[str, Any] | None, dict[str, str], bool]] = {
    "left out: no other namespace": (None, {}, False),
    "all": (ALL, {}, True),
    "selector with the labels": (selected(team="yes"), {"team": "yes"}, True),
    "selector without": (selected(team="yes"), {}, False),
}


@pytest.mark.parametrize(("allowed", "labels", "want"), CONSENTING.values(), ids=CONSENTING)
def test_a_deployment_of_another_namespace_consents(
    allowed: dict[str, Any] | None, labels: dict[str, str], *, want: bool
) -> None:
    asking = route("assistant", rule("all", local(namespace="others")), labels=labels)
    built = build_table(inputs(asking, deployment(namespace="others", allowed_routes=allowed)), 1)
    assert [each.name for each in built.table.backends] == ["deployment/others/chat"] * want
    assert bool(built.table.routes[0].rules[0].problem) is not want


@pytest.mark.parametrize(("allowed", "labels", "want"), CONSENTING.values(), ids=CONSENTING)
def test_a_provider_of_another_namespace_consents(
    allowed: dict[str, Any] | None, labels: dict[str, str], *, want: bool
) -> None:
    asking = route("assistant", rule("all", hosted(namespace="others")), labels=labels)
    built = build_table(inputs(asking, provider(namespace="others", allowedRoutes=allowed)), 1)
    assert [each.name for each in built.table.backends] == ["provider/others/openai/large"] * want
    assert bool(built.table.routes[0].rules[0].problem) is not want


def test_inside_one_namespace_nobody_asks_for_consent() -> None:
    built = build_table(inputs(route(), deployment(allowed_routes=selected(never="there"))), 1)
    assert [each.name for each in built.table.backends] == ["deployment/team/chat"]


def test_what_others_have_cannot_be_told_from_what_is_not_there() -> None:
    """The problem of a Route is readable by who may not read the other namespace."""
    asking = route("assistant", rule("all", local(namespace="others")))
    hidden, absent = (
        [problem for problem in build_table(inputs(*parts), 1).problems if problem.rule]
        for parts in ((asking, deployment(namespace="others")), (asking,))
    )
    assert hidden == absent
    assert [problem.reason for problem in hidden] == [ProblemReason.BACKEND_NOT_PERMITTED]


def test_a_provider_without_consent_says_nothing_about_itself() -> None:
    asking = route("assistant", rule("all", hosted(namespace="others")))
    hidden: tuple[ProviderInput, ...] = (provider(namespace="others", type="Bedrock"),)
    reasons = [problem.reason for problem in build_table(inputs(asking, *hidden), 1).problems if problem.rule]
    assert reasons == [ProblemReason.BACKEND_NOT_PERMITTED]
