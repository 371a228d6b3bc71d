"""What every controller of the player is given: the server, time and chance."""

from dataclasses import dataclass
from random import Random

from penstock.cluster.fake.server import FakeAPIServer
from penstock.workqueue.clock import Clock

__all__ = ["Surroundings"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Shared by all of them; a fast clock makes a fast cluster."""

    server: FakeAPIServer
    clock: Clock
    random: Random
