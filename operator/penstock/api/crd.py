"""From the table of kinds to CustomResourceDefinitions, byte for byte the same each time. Writes no files."""

from typing import Any

import yaml

from penstock.api.kinds import KINDS, Column, Kind
from penstock.api.meta import GROUP, VERSION
from penstock.api.model_tree import field_model
from penstock.api.schema import structural_schema

__all__ = ["CATEGORY", "crd_documents", "custom_resource_definition"]

CATEGORY = "penstock"

_HEADER = "# Generated from the models by `penstock crds`; edit those.\n"
_WIDTH = 120


def crd_documents() -> dict[str, str]:
    """Every CRD as YAML, by file name."""
    return {f"{kind.plural}.yaml": _dump(custom_resource_definition(kind)) for kind in KINDS}


def custom_resource_definition(kind: Kind) -> dict[str, Any]:
    """One kind's CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root_schema(kind)},
        "subresources": _subresources(kind),
        "additionalPrinterColumns": [_printer_column(column) for column in kind.columns],
    }
    if kind.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable_fields]
    return version


def _subresources(kind: Kind) -> dict[str, Any]:
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return {"status": {}, "scale": scale} if kind.scalable else {"status": {}}


def _printer_column(column: Column) -> dict[str, Any]:
    shown = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return {**shown, "priority": column.priority} if column.priority else shown


def _root_schema(kind: Kind) -> dict[str, Any]:
    fields = kind.model.model_fields
    spec = structural_schema(field_model(kind.model, "spec"))
    status = structural_schema(field_model(kind.model, "status"))
    name = {"type": "string", "maxLength": kind.longest_name, "pattern": kind.name_pattern.regex}
    return {
        "type": "object",
        "description": kind.model.__doc__,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "maxLength": 64},
            "kind": {"type": "string", "maxLength": 64},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": {**spec, "description": fields["spec"].description},
            "status": {**_unsaid(status), "description": fields["status"].description},
        },
    }


def _unsaid(status: dict[str, Any]) -> dict[str, Any]:
    """What the operator did not say stays unsaid: a default here would differ from what it applied.

    But for the generation, which it always says: a resource that nobody has looked at yet has an older one than its
    own. Without it kstatus, and so Flux and Helm, take a resource without a status for one that is done.
    """
    return {**_without_defaults(status), "default": {"observedGeneration": 0}}


def _without_defaults(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_defaults(item) for item in node]
    if isinstance(node, dict):
        return {key: _without_defaults(value) for key, value in node.items() if key != "default"}
    return node


class _Dumper(yaml.SafeDumper):
    """Lists indented, and nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the name is PyYAML's
        """Write equal parts in full."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's
        """Indent lists below their key."""
        return super().increase_indent(flow, indentless=False)


def _dump(document: dict[str, Any]) -> str:
    return _HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=True, width=_WIDTH, allow_unicode=True)
