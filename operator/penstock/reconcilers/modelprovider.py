"""ModelProvider: its key is read for the gateways whose Routes use it; what they make of it, its status says."""

from collections import defaultdict
from dataclasses import dataclass

from penstock.api.modelprovider import ModelProvider
from penstock.cluster.client import Client
from penstock.cluster.resources import MODEL_PROVIDERS
from penstock.reconcilers.attached import problems_of
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.keyfinder import KeyFinder
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.provider_status import ProviderSeen, provider_status, seconds_until_deprecation
from penstock.reconcilers.reporting import Reporter
from penstock.reconcilers.secrets import KeyFact
from penstock.reconcilers.world import World
from penstock.routing.problems import Kind
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result

__all__ = ["ModelProviderReconciler"]

_LOOK_AGAIN_SECONDS = 60.0
"""At a Secret that is not watched."""


@dataclass(slots=True)
class ModelProviderReconciler:
    """One pass per key."""

    world: World
    client: Client
    clock: Clock

    async def reconcile(self, key: Key) -> Result:
        """Read its key, and say what is wrong with it or with what it offers."""
        custom = self.world.providers.get(key.namespace, key.name)
        if custom is None:
            self.world.keys.forget(Subject.MODEL_PROVIDER, (key.namespace, key.name))
        if custom is None or custom.deleting:
            return Result()
        fact = await self._key(custom)
        await self._report(custom, fact)
        return Result(requeue_after=self._again(custom, fact))

    def _again(self, custom: Custom[ModelProvider], fact: KeyFact | None) -> float | None:
        """At a Secret that is not watched, and when a model comes near its end."""
        if custom.parsed is None:
            return None
        ending = seconds_until_deprecation(custom.parsed.spec, self.clock.now())
        look = self._finder.look_again(fact, _LOOK_AGAIN_SECONDS)
        return min((each for each in (ending, look) if each is not None), default=None)

    async def _key(self, custom: Custom[ModelProvider]) -> KeyFact | None:
        if custom.parsed is None:
            return None
        return await self._finder.find(custom, custom.parsed.spec.credentials_ref)

    @property
    def _finder(self) -> KeyFinder:
        return KeyFinder(self.world, self.client, Subject.MODEL_PROVIDER, keeps_value=True)

    async def _report(self, custom: Custom[ModelProvider], fact: KeyFact | None) -> None:
        problems = {
            "/".join(gateway): problems_of(self.world, gateway, Kind.PROVIDER, custom) for gateway in self.world.told
        }
        seen = ProviderSeen(problems, fact, self._used_by(custom))
        status = provider_status(custom, seen, now=self.clock.now())
        reporter = Reporter(
            self.client,
            MODEL_PROVIDERS,
            ModelProvider,
            self.world.providers,
            self.world.on_routed(Subject.MODEL_PROVIDER),
        )
        await reporter.report(custom, status)

    def _used_by(self, custom: Custom[ModelProvider]) -> dict[str, set[str]]:
        """The Routes that name each of its models, on any gateway."""
        prefix, used = f"provider/{custom.namespace}/{custom.name}/", defaultdict[str, set[str]](set)
        for told in self.world.told.values():
            for route in told.built.table.routes:
                for rule in route.rules:
                    for name in (*(share.backend for share in rule.shares), *rule.fallback):
                        if name.startswith(prefix):
                            used[name.removeprefix(prefix)].add(route.name)
        return used
