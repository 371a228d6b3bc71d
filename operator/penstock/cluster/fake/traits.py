"""How kinds differ in ways that no manifest says: generations, unconditional updates, fields, forms of names.

Asked from a real kube-apiserver 1.36, kind by kind.
"""

from dataclasses import dataclass

from penstock.cluster.fake.registry import KindInfo

__all__ = ["Traits", "traits_of"]

_SPEC = frozenset({"spec"})
_LABEL_NAMES = frozenset({"Namespace", "Service"})


@dataclass(frozen=True, slots=True)
class Traits:
    """What sets a kind apart; `fields` are its top-level ones beside metadata and status, None where a schema says."""

    generation: bool = True
    unconditional_update: bool = True
    shows_deleted: bool = False
    fields: frozenset[str] | None = _SPEC
    label_name: bool = False


def _fields(*names: str) -> frozenset[str]:
    return frozenset(names)


_CUSTOM = Traits(unconditional_update=False, fields=None)
_EVENT_FIELDS = _fields(
    *("action", "count", "eventTime", "firstTimestamp", "involvedObject", "lastTimestamp", "message", "reason"),
    *("related", "reportingComponent", "reportingInstance", "series", "source", "type"),
)
_BUILT_IN = {
    "ConfigMap": Traits(generation=False, fields=_fields("data", "binaryData", "immutable")),
    "ControllerRevision": Traits(generation=False, fields=_fields("data", "revision")),
    "CustomResourceDefinition": Traits(unconditional_update=False),
    "EndpointSlice": Traits(fields=_fields("addressType", "endpoints", "ports")),
    "Event": Traits(generation=False, fields=_EVENT_FIELDS),
    "Lease": Traits(generation=False, unconditional_update=False),
    "Namespace": Traits(generation=False, label_name=True),
    "Node": Traits(generation=False),
    "PersistentVolumeClaim": Traits(generation=False, shows_deleted=True),
    "Pod": Traits(shows_deleted=True),
    "PodDisruptionBudget": Traits(unconditional_update=False),
    "PriorityClass": Traits(fields=_fields("value", "globalDefault", "description", "preemptionPolicy")),
    "ResourceQuota": Traits(generation=False, shows_deleted=True),
    "Secret": Traits(generation=False, fields=_fields("data", "stringData", "type", "immutable")),
    "Service": Traits(generation=False, shows_deleted=True, label_name=True),
    "ServiceAccount": Traits(
        generation=False,
        shows_deleted=True,
        fields=_fields("secrets", "imagePullSecrets", "automountServiceAccountToken"),
    ),
}


def traits_of(info: KindInfo) -> Traits:
    """The traits of a kind; those of custom resources are all alike."""
    return _CUSTOM if info.custom else _BUILT_IN.get(info.kind, Traits())
