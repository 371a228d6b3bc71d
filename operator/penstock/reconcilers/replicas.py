"""Listens to what each gateway's replicas have applied, by long poll, and wakes whoever waits for it."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from penstock.errors import ServerError
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.traffic import GatewayKey
from penstock.reconcilers.world import World
from penstock.rollout.drain import Replica
from penstock.server_client.client import LiveReplica, ServerClient
from penstock.workqueue.clock import Clock

__all__ = ["ReplicaListener"]

_log = logging.getLogger(__name__)

_WAIT_SECONDS = 25.0
_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 0.25


@dataclass(slots=True)
class ReplicaListener:
    """`run` never ends by itself: one long poll per gateway that is expected, as long as it is."""

    world: World
    server: ServerClient
    clock: Clock
    random: Random
    _polls: dict[GatewayKey, "asyncio.Task[None]"] = field(default_factory=dict)

    async def run(self) -> None:
        """Keep one poll per gateway."""
        try:
            while True:
                self._keep_polls()
                await self.clock.sleep(_LOOK_SECONDS)
        finally:
            for poll in self._polls.values():
                poll.cancel()
            await asyncio.gather(*self._polls.values(), return_exceptions=True)

    def _keep_polls(self) -> None:
        wanted = self.world.traffic.gateways.keys()
        for place in self._polls.keys() - wanted:
            self._polls.pop(place).cancel()
        for place in wanted - self._polls.keys():
            self._polls[place] = asyncio.create_task(self._listen(place), name=f"replicas of {'/'.join(place)}")

    async def _listen(self, place: GatewayKey) -> None:
        since, away = "", False
        while True:
            try:
                live = await self.server.replicas("/".join(place), since=since, wait_seconds=_WAIT_SECONDS)
            except ServerError as error:
                if not away:
                    _log.warning("replicas of %s/%s: %s; nothing is removed meanwhile", *place, error)
                    self._heard(place, None)
                since, away = "", True
                await self.clock.sleep(_AGAIN_SECONDS * self.random.uniform(0.5, 1.0))
                continue
            away = False
            if live is not None:
                since = live.since
                self._heard(place, live.replicas)

    def _heard(self, place: GatewayKey, replicas: Iterable[LiveReplica] | None) -> None:
        world = self.world
        if place not in world.traffic.gateways:
            return
        traffic, live = world.traffic.gateways[place], tuple(replicas or ())
        waiting = traffic.waiting() if traffic.asked else list(traffic.routes)
        said = None if replicas is None else [_replica(each) for each in live]
        hashes = {_name(each): each.hash for each in live}
        world.reports[place] = live
        for namespace, name in world.traffic.heard(place, said, hashes):
            world.look_at(namespace, name)
        world.report_soon(*place)
        for route in {*waiting, *traffic.waiting()}:
            world.enqueue(Key(Subject.ROUTE, *route.split("/", 1)))
        if traffic.ahead:
            world.enqueue(Key(Subject.ROUTING_TABLE, *place))


def _replica(live: LiveReplica) -> Replica:
    return Replica(_name(live), live.generation, live.leaving)


def _name(live: LiveReplica) -> str:
    """The pod's, by which Kubernetes knows it, too."""
    return live.pod or live.uid
