"""Bad values are refused with their path; random values that the schema allows render, random typos do not."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from builders.chart_values import allowed, paths, typo
from builders.charts import CASES, CHARTS, attempt, containers, pod_specs, render

FEWER = settings(max_examples=max(settings().max_examples // 5, 1))
"""Each case is a process of its own, a quarter of a second and more."""
SCHEMA: dict[str, Any] = json.loads((CHARTS / "penstock" / "values.schema.json").read_text())
GATEWAY = {"name": "main", "namespace": "ai-platform", "spec": {"sensitivityLevels": ["low"]}}
HOME = {"secretNamespaces": ["ai-platform"]}

BY_THE_SCHEMA: dict[str, tuple[dict[str, Any], str]] = {
    "a typo at the top": ({"operater": {}}, "'operater' not allowed"),
    "a typo inside": ({"operator": {"replcas": 3}}, "at '/operator'"),
    "a typo deep inside": (
        {"server": {"postgresql": {"urlSecret": {"nmae": "x"}}}},
        "at '/server/postgresql/urlSecret'",
    ),
    "no replica": ({"operator": {"replicas": 0}}, "at '/operator/replicas'"),
    "a number as text": ({"operator": {"replicas": "two"}}, "at '/operator/replicas'"),
    "two servers on a file": ({"server": {"replicas": 2}}, "at '/server/postgresql/urlSecret/name'"),
    "a mode that there is not": ({"tls": {"mode": "on"}}, "at '/tls/mode'"),
    "a moving tag": ({"images": {"penstock": {"tag": "latest"}}}, "at '/images/penstock/tag'"),
    "a short digest": ({"images": {"gateway": {"digest": "sha256:abc"}}}, "at '/images/gateway/digest'"),
    "a namespace in capitals": ({"secretNamespaces": ["AI"]}, "at '/secretNamespaces/0'"),
    "a namespace with a comma": ({"watchNamespaces": ["a,b"]}, "at '/watchNamespaces/0'"),
    "a namespace twice": ({"watchNamespaces": ["a", "a"]}, "at '/watchNamespaces'"),
    "credentials in a URL": ({"operator": {"hub": {"url": "https://me:word@hub"}}}, "at '/operator/hub/url'"),
    "a gateway without levels": ({"gateways": [{**GATEWAY, "spec": {}}]}, "at '/gateways/0/spec'"),
    "a gateway without a namespace": ({"gateways": [{"name": "a", "spec": GATEWAY["spec"]}]}, "at '/gateways/0'"),
    "a network without a length": (
        {"networkPolicy": {"hub": {"cidrs": ["10.0.0.1"]}}},
        "at '/networkPolicy/hub/cidrs/0'",
    ),
    "no port": ({"networkPolicy": {"apiServer": {"ports": []}}}, "at '/networkPolicy/apiServer/ports'"),
    "a quantity that is none": (
        {"operator": {"resources": {"limits": {"memory": "1 GB"}}}},
        "at '/operator/resources/limits/memory'",
    ),
    "GPUs for the operator": (
        {"operator": {"resources": {"limits": {"nvidia.com/gpu": 1}}}},
        "at '/operator/resources/limits'",
    ),
    "a test without a key": (
        {"test": {"gateway": {"name": "main", "namespace": "a", "model": "m"}}},
        "at '/test/gateway/keySecret/name'",
    ),
    "a part taken away": ({"operator": {"hub": None}}, "missing property 'hub'"),
    "an exchange rate as a number": ({"planner": {"exchangeRates": {"EUR": 1.08}}}, "at '/planner/exchangeRates/EUR'"),
    "an exchange rate of nothing": ({"planner": {"exchangeRates": {"EUR": "0.00"}}}, "at '/planner/exchangeRates/EUR'"),
    "a currency in small letters": ({"planner": {"exchangeRates": {"eur": "1"}}}, "invalid propertyName 'eur'"),
    "a limit in words": ({"planner": {"maxPricePerHour": "abc"}}, "at '/planner/maxPricePerHour'"),
    "a negative limit": (
        {"planner": {"namespaceMaxPricePerHour": {"team-a": "-3"}}},
        "at '/planner/namespaceMaxPricePerHour/team-a'",
    ),
    "a token that never changes": ({"gatewayTokenDays": 0}, "at '/gatewayTokenDays'"),
}

BY_THE_CHART: dict[str, tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    "a gateway without its kind": (
        {**HOME, "gateways": [GATEWAY]},
        (),
        ("gateways[0]", "main", "penstock-crds"),
    ),
    "a gateway whose Secrets are closed": (
        {"gateways": [GATEWAY]},
        ("penstock.dev/v1alpha1/InferenceGateway",),
        ("gateways[0].namespace", "ai-platform", "secretNamespaces"),
    ),
    "a gateway that nobody watches": (
        {"watchNamespaces": ["assistants"], "secretNamespaces": ["assistants"], "gateways": [GATEWAY]},
        ("penstock.dev/v1alpha1/InferenceGateway",),
        ("gateways[0].namespace", "ai-platform", "secretNamespaces"),
    ),
    "a gateway without a server": (
        {**HOME, "server": {"enabled": False}, "gateways": [GATEWAY]},
        ("penstock.dev/v1alpha1/InferenceGateway",),
        ("gateways[0]", "main", "server.enabled=true"),
    ),
    "Secrets of a namespace that nobody watches": (
        {**HOME, "watchNamespaces": ["assistants"]},
        (),
        ("secretNamespaces[0]", "ai-platform", "watchNamespaces"),
    ),
    "a limit on what nobody watches": (
        {"watchNamespaces": ["assistants"], "planner": {"namespaceMaxPricePerHour": {"team-a": "30.00"}}},
        (),
        ("planner.namespaceMaxPricePerHour.team-a", "30.00", "watchNamespaces"),
    ),
    "a rate from a currency to itself": (
        {"planner": {"currency": "EUR", "exchangeRates": {"EUR": "1.08"}}},
        (),
        ("planner.exchangeRates.EUR", "1.08", "Leave it out"),
    ),
    "gateways that expect TLS": (
        {"tls": {"mode": "Off"}, "server": {"gatewayURL": "https://control.example.com"}},
        (),
        ("server.gatewayURL", "https://control.example.com", "http://"),
    ),
}
"""Values, what the cluster serves, and the words of the refusal: field, value, cure."""


@pytest.mark.parametrize("name", BY_THE_SCHEMA)
def test_the_schema_refuses_with_the_path(name: str) -> None:
    values, words = BY_THE_SCHEMA[name]
    ran = attempt(values)
    assert ran.returncode != 0
    assert words in ran.stderr


@pytest.mark.parametrize("name", BY_THE_CHART)
def test_the_chart_refuses_with_field_value_and_cure(name: str) -> None:
    values, served, words = BY_THE_CHART[name]
    ran = attempt(values, served=served)
    assert ran.returncode != 0
    assert [word for word in words if word not in ran.stderr] == []


def test_several_servers_on_a_file_are_refused_without_the_schema_too() -> None:
    ran = attempt({"server": {"replicas": 3}}, "penstock", "--skip-schema-validation")
    assert "server.replicas: 3: SQLite serves one replica" in ran.stderr


def test_the_crds_refuse_typos() -> None:
    assert "'allowDatalos' not allowed" in attempt({"allowDatalos": True}, "penstock-crds").stderr


ACROSS_FIELDS = (
    "secretNamespaces[",
    "gateways[",
    "server.gatewayURL: ",
    "planner.exchangeRates.",
    "planner.namespaceMaxPricePerHour.",
    "at '/server/postgresql/urlSecret/name': minLength",
    "at '/test/gateway/",
)
"""Where refusals begin that two values cause together."""


@FEWER
@given(values=allowed(SCHEMA, SCHEMA))
def test_what_the_schema_allows_renders(values: dict[str, Any]) -> None:
    """Or the chart says which field is wrong with which others."""
    ran = attempt(values)
    if ran.returncode:
        assert any(words in ran.stderr for words in ACROSS_FIELDS)
        return
    objects = [each for each in yaml.safe_load_all(ran.stdout) if each]
    for pod in pod_specs(objects).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert all(
            ":" in container["image"].rpartition("/")[2] or "@" in container["image"] for container in containers(pod)
        )


@FEWER
@given(data=st.data())
def test_a_typo_is_refused(data: st.DataObject) -> None:
    """Wherever it stands."""
    path = data.draw(st.sampled_from(paths(SCHEMA, SCHEMA)))
    known = SCHEMA
    for name in path:
        known = known["properties"][name]
        known = SCHEMA["definitions"][known["$ref"].rpartition("/")[2]] if "$ref" in known else known
    wrong = data.draw(st.sampled_from(sorted(known["properties"])).flatmap(typo))
    assume(wrong and wrong not in known["properties"])
    values: dict[str, Any] = {wrong: 1}
    for name in reversed(path):
        values = {name: values}
    ran = attempt(values)
    assert ran.returncode != 0
    assert f"at '{''.join(f'/{name}' for name in path)}'" in ran.stderr
    assert wrong in ran.stderr


@pytest.mark.parametrize("name", CASES)
def test_the_cases_of_the_goldens_render(name: str) -> None:
    assert render(CASES[name])
