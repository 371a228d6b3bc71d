"""Values, their schema and the page say the same."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from builders.charts import CHARTS

ROOT = Path(__file__).parents[2]
TEXT = (CHARTS / "penstock" / "values.yaml").read_text()
SCHEMA: dict[str, Any] = json.loads((CHARTS / "penstock" / "values.schema.json").read_text())


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


VALUES = tool("chart_values")


def known(schema: dict[str, Any], prefix: str = "") -> set[str]:
    """Every path that the schema names, but for what it only describes: resources, tolerations."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return known(SCHEMA["definitions"][name], prefix) if name in {"image", "peers"} else set()
    found = set()
    for name, inner in schema.get("properties", {}).items():
        found |= {f"{prefix}{name}", *known(inner, f"{prefix}{name}.")}
    return found


def test_every_value_says_what_it_is_for() -> None:
    values = VALUES.values_of(TEXT)
    silent = [
        each.path for each in values if not each.says and ".resources." not in each.path and ".labels." not in each.path
    ]
    assert silent == []
    assert len(values) > 80


def test_values_and_schema_have_the_same_names() -> None:
    described = {
        each.path for each in VALUES.values_of(TEXT) if ".resources." not in each.path and ".labels." not in each.path
    }
    assert described == known(SCHEMA) - {"global"}


def test_the_page_has_every_value() -> None:
    """`python tools/chart_values.py` writes it."""
    page = (ROOT / "docs" / "chart.md").read_text()
    assert VALUES.page(page, VALUES.values_of(TEXT)) == page


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        VALUES.page("# A page\n", ())


def test_comments_defaults_and_groups_are_read() -> None:
    text = "# One\n# and two.\na:\n  # Inside.\n  b: [1]\n  # Empty.\n  c: {}\n"
    assert VALUES.values_of(text) == (
        VALUES.Value("a", "", "One and two."),
        VALUES.Value("a.b", "[1]", "Inside."),
        VALUES.Value("a.c", "{}", "Empty."),
    )


@pytest.mark.parametrize("chart", ["penstock", "penstock-crds"])
def test_charts_have_the_version_of_the_package(chart: str) -> None:
    from penstock import __version__  # noqa: PLC0415 - only here

    described = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())
    assert (described["version"], described["appVersion"]) == (__version__, __version__)


def test_the_main_chart_has_no_definitions() -> None:
    """Helm never upgrades what is in crds/, and deletes what is in templates/."""
    assert not (CHARTS / "penstock" / "crds").exists()
    assert "CustomResourceDefinition\nmetadata" not in "".join(
        path.read_text() for path in (CHARTS / "penstock" / "templates").rglob("*.yaml")
    )


def test_the_crds_are_kept_and_say_their_version() -> None:
    from builders.charts import render  # noqa: PLC0415 - the others need no helm

    found = render({}, "penstock-crds")
    assert len(found) == len(list((ROOT / "crds").glob("*.yaml")))
    for crd in found:
        assert crd["metadata"]["annotations"] == {
            "helm.sh/resource-policy": "keep",
            "penstock.dev/schema-version": "1",
        }
        plain = yaml.safe_load((ROOT / "crds" / f"{crd['spec']['names']['plural']}.yaml").read_text())
        assert crd["spec"] == plain["spec"]
