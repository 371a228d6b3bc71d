"""Route: its gateway's table does the work; here is only said what became of it."""

from dataclasses import dataclass

from penstock.api.route import Route
from penstock.cluster.client import Client
from penstock.cluster.resources import ROUTES
from penstock.reconcilers.attached import gateway_of, standing_of
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.reporting import Reporter
from penstock.reconcilers.route_status import RouteSeen, route_status
from penstock.reconcilers.world import World
from penstock.rollout.drain import GatewayState
from penstock.routing.problems import Kind
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result

__all__ = ["RouteReconciler"]


@dataclass(slots=True)
class RouteReconciler:
    """One status per key, written when it says something else."""

    world: World
    client: Client
    clock: Clock

    async def reconcile(self, key: Key) -> Result:
        """Say what the table has of it, and whether every replica has that."""
        custom = self.world.routes.get(key.namespace, key.name)
        if custom is None or custom.deleting:
            return Result()
        await self._report(custom)
        return Result()

    async def _report(self, custom: Custom[Route]) -> None:
        status = route_status(custom, self._seen(custom), now=self.clock.now())
        reporter = Reporter(self.client, ROUTES, Route, self.world.routes, self.world.on_routed(Subject.ROUTE))
        await reporter.report(custom, status)

    def _seen(self, custom: Custom[Route]) -> RouteSeen:
        world = self.world
        gateway = None if custom.parsed is None else gateway_of(custom, custom.parsed.spec.gateway_ref)
        standing = standing_of(world, gateway, Kind.ROUTE, custom)
        if gateway is None:
            return RouteSeen(standing)
        name, traffic = f"{custom.namespace}/{custom.name}", world.traffic.gateways.get(gateway)
        state = None
        if traffic is not None and traffic.known and traffic.asked:
            state = GatewayState(standing.gateway, traffic.routes.get(name, 0), traffic.replicas)
        told = world.told.get(gateway)
        return RouteSeen(standing, told.explained.get(name) if told else None, state, world.traffic.enabled)
