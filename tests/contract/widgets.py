"""A kind of the tests' own, with everything of a CRD that Penstock's kinds rely on, and manifests of it."""

from typing import Any

from penstock.cluster.resources import ResourceType

__all__ = ["WIDGETS", "WIDGET_CRD", "widget"]

Object = dict[str, Any]

WIDGETS = ResourceType("contract.penstock.dev", "v1", "widgets", "Widget")

_PART = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "size": {"type": "integer", "default": 1},
        "colour": {"type": "string"},
    },
}
_SPEC = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer", "minimum": 0, "maximum": 10, "default": 1},
        "mode": {"type": "string", "enum": ["Fast", "Safe"]},
        "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 8},
        "note": {"type": "string"},
        "parts": {
            "type": "array",
            "maxItems": 4,
            "items": _PART,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "regions": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "arguments": {"type": "array", "items": {"type": "string"}},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "limits": {
            "type": "object",
            "default": {},
            "properties": {"memory": {"type": "integer", "default": 4}, "cpu": {"type": "integer"}},
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
_STATUS = {
    "type": "object",
    "properties": {
        "phase": {"type": "string"},
        "replicas": {"type": "integer"},
        "selector": {"type": "string"},
        "conditions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "status"],
                "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
            },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    },
}

WIDGET_CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.contract.penstock.dev"},
    "spec": {
        "group": WIDGETS.group,
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "apiVersion": {"type": "string"},
                            "kind": {"type": "string"},
                            "metadata": {"type": "object"},
                            "spec": _SPEC,
                            "status": _STATUS,
                        },
                    }
                },
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    },
                },
                "selectableFields": [{"jsonPath": ".spec.mode"}],
                "additionalPrinterColumns": [
                    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
                    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
                ],
            }
        ],
    },
}


def widget(name: str = "one", *, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """A Widget without a namespace."""
    metadata: Object = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": WIDGETS.api_version, "kind": "Widget", "metadata": metadata, "spec": spec}
