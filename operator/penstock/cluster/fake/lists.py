"""How lists merge: by key, as a set, or as one value; from a CRD's schema, or by name for built-in kinds."""

from typing import Any

__all__ = ["Shape", "shape_of"]

_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_SETS = frozenset({"finalizers"})
_ATOMIC_MAPS = frozenset(
    {
        "selector",
        "nodeSelector",
        "secretKeyRef",
        "configMapKeyRef",
        "fieldRef",
        "resourceFieldRef",
        "preference",
        "involvedObject",
        "ownerReferences[]",
    }
)
_ATOMIC_UNDER = {"NetworkPolicy": frozenset({"ingress", "egress"}), "ControllerRevision": frozenset({"data"})}
_PROTOCOL = {"protocol": "TCP"}


class Shape:
    """What is known of the value at one path: how to go down, and how a list there merges."""

    __slots__ = ("_schema", "kind", "name")

    def __init__(self, kind: str, name: str = "", schema: dict[str, Any] | None = None) -> None:
        self.kind = kind
        self.name = name
        self._schema = schema

    def child(self, name: str) -> "Shape":
        """The field of that name."""
        schema = None
        if self._schema is not None:
            properties = self._schema.get("properties") or {}
            additional = self._schema.get("additionalProperties")
            schema = properties.get(name) or (additional if isinstance(additional, dict) else None)
        return Shape(self.kind, name, schema)

    @property
    def item(self) -> "Shape":
        """An element of the list."""
        schema = (self._schema or {}).get("items")
        return Shape(self.kind, f"{self.name}[]", schema if isinstance(schema, dict) else None)

    def atomic(self, value: Any) -> bool:
        """True where the value is owned as a whole."""
        if self._schema is not None:
            return self._schema_atomic(value)
        if isinstance(value, list):
            return self.keys(value) is None and self.name not in _SETS
        named = self.name in _ATOMIC_MAPS and not (self.kind == "Service" and self.name == "spec")
        return isinstance(value, dict) and (named or self.name in _ATOMIC_UNDER.get(self.kind, frozenset()))

    def _schema_atomic(self, value: Any) -> bool:
        schema = self._schema or {}
        if isinstance(value, list):
            return bool(schema.get("x-kubernetes-list-type", "atomic") == "atomic")
        return isinstance(value, dict) and bool(schema.get("x-kubernetes-map-type") == "atomic")

    def keys(self, value: list[Any]) -> tuple[str, ...] | None:
        """The keys by which elements are told apart; None where the list has none."""
        if self._schema is not None:
            found = self._schema.get("x-kubernetes-list-map-keys")
            return tuple(found) if found else None
        if self.name == "ports":
            return self._port_keys(value)
        if self.name in _ATOMIC_UNDER.get(self.kind, frozenset()):
            return None
        return _KEYS.get(self.name)

    def _port_keys(self, value: list[Any]) -> tuple[str, ...] | None:
        if self.kind == "Service":
            return "port", "protocol"
        if any(isinstance(item, dict) and "containerPort" in item for item in value):
            return "containerPort", "protocol"
        return None

    def is_set(self) -> bool:
        """True for a list whose elements are their own keys."""
        if self._schema is not None:
            return bool(self._schema.get("x-kubernetes-list-type") == "set")
        return self.name in _SETS

    def key_of(self, item: Any, keys: tuple[str, ...]) -> dict[str, Any]:
        """The key of an element, with what the schema or the API defaults."""
        properties = ((self._schema or {}).get("items") or {}).get("properties") or {}
        found: dict[str, Any] = {}
        for key in keys:
            default = (properties.get(key) or {}).get("default", _PROTOCOL.get(key))
            value = item.get(key, default) if isinstance(item, dict) else None
            if value is not None:
                found[key] = value
        return found


def shape_of(kind: str, schema: dict[str, Any] | None) -> Shape:
    """The shape of a whole object; metadata of a CRD follows the built-in names."""
    if schema is None:
        return Shape(kind)
    properties = {key: value for key, value in (schema.get("properties") or {}).items() if key != "metadata"}
    return Shape(kind, "", {**schema, "properties": properties})
