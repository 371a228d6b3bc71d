"""This replica's life as others see it: serving, draining, gone."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Replica", "State"]


class State(StrEnum):
    """What the replica says of itself to the server."""

    SERVING = "Serving"
    DRAINING = "Draining"
    GONE = "Gone"


@dataclass(slots=True)
class Replica:
    """Its state, how many requests it is busy with, and how many live replicas share the load, itself included."""

    state: State = State.SERVING
    in_flight: int = 0
    sharing: int = 1
