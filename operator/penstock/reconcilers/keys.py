"""What a worker is asked to look at: a kind and a name, never an object."""

from enum import StrEnum
from typing import NamedTuple

__all__ = ["CERTIFICATES", "PLACEMENT", "REPLANNING", "Key", "Subject"]


class Subject(StrEnum):
    """What a key is about; the label `controller` in metrics."""

    MODEL_DEPLOYMENT = "modeldeployment"
    INFERENCE_POOL = "inferencepool"
    PLACEMENT = "placement"
    REPLANNING = "replanning"
    MODEL_FACTS = "modelfacts"
    INFERENCE_GATEWAY = "inferencegateway"
    ROUTING_TABLE = "routingtable"
    MODEL_PROVIDER = "modelprovider"
    ROUTE = "route"
    CONSUMER = "consumer"
    CERTIFICATES = "certificates"
    UNSUPPORTED = "unsupported"


class Key(NamedTuple):
    """One entry of the work queue; `kind` is the plural for kinds that are not acted on."""

    subject: Subject
    namespace: str
    name: str
    kind: str = ""

    def __str__(self) -> str:
        """As log lines show it."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind or self.subject} {name}"


PLACEMENT = Key(Subject.PLACEMENT, "", "fleet")
"""The singleton: one writer places all deployments of the cluster."""

REPLANNING = Key(Subject.REPLANNING, "", "fleet")
"""The singleton: better plans for what serves are looked for now and then, and no placement waits for that."""

CERTIFICATES = Key(Subject.CERTIFICATES, "", "server")
"""The singleton: what the server is known by."""
