"""Walking the models by the names that users write."""

import pytest

from penstock.api.meta import Resource
from penstock.api.model_tree import field_model, field_paths, lists_without_doubles, model_at, visit, visit_models
from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentSpec, Variant, Workload
from penstock.api.sources import HubSource, Source


def test_paths_are_as_users_write_them() -> None:
    """camelCase, acronyms kept, lists with brackets, parents before children."""
    paths = field_paths(ModelDeploymentSpec)
    assert "spec.source.hub.mirrorURL" in paths
    assert "spec.variants[].source.hub.mirrorURL" in paths
    assert paths.index("spec.workload") < paths.index("spec.workload.promptTokens")


def test_the_model_at_a_place() -> None:
    """Through optionals and lists; None below a scalar and off the tree."""
    assert model_at(ModelDeploymentSpec, ()) is ModelDeploymentSpec
    assert model_at(ModelDeploymentSpec, ("workload",)) is Workload
    assert model_at(ModelDeploymentSpec, ("variants", 3, "source", "hub")) is HubSource
    assert model_at(ModelDeploymentSpec, ("replicas",)) is None
    assert model_at(ModelDeploymentSpec, ("nowhere", "at", "all")) is None


def test_visiting_objects() -> None:
    """Every object once, with its path; what is absent is passed over."""
    variant = Variant.model_validate({"precision": "FP8", "model": "a/b", "source": {"type": "Hub"}})
    spec = ModelDeploymentSpec(model="a/b", variants=(variant,))
    visited = {each.path: type(each.value) for each in visit(spec)}
    assert visited["spec"] is ModelDeploymentSpec
    assert visited["spec.variants[0].source"] is Source
    assert "spec.variants[0].source.hub" not in visited
    assert "spec.scaling" not in visited


def test_visiting_models_leaves_metadata_of_the_object_out() -> None:
    """But not the field of the same name in the spec."""
    paths = [path for path, _ in visit_models(ModelDeployment)]
    assert "metadata" not in paths
    assert {"spec", "spec.metadata", "spec.variants[].metadata", "status.conditions[]"} <= set(paths)


def test_lists_without_doubles() -> None:
    """Maps and sets, with what identifies an entry; atomic lists may repeat."""
    names = {alias: mark.keys for _, alias, mark in lists_without_doubles(ModelDeploymentSpec)}
    assert names == {"variants": ("precision",), "adapters": ("name",)}


def test_a_field_without_a_model() -> None:
    """Asking for one is a mistake in the code."""
    with pytest.raises(TypeError, match=r"Resource\.kind holds no model"):
        field_model(Resource, "kind")
