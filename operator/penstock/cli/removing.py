"""An uninstall at work: each kind deleted and waited for, then Helm's releases, then what nobody else takes along.

Every step looks anew and does what is left of it, so that it may be interrupted anywhere and begun again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.access.names import AUTHORITY_SECRET, LEARNT_CONFIG_MAP, LEASE, OPERATOR, SERVER, SERVER_SECRET
from penstock.cli.connection import Refusal, Target
from penstock.cli.reading import listing, read_view
from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import Conflict, Forbidden, NotFound
from penstock.cluster.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    LEASES,
    MODEL_DEPLOYMENTS,
    SECRETS,
    ResourceType,
)
from penstock.operations.removal import (
    FINALIZER,
    ORDER,
    READ_FOR_REMOVAL,
    Release,
    held,
    operator_works,
    own_crds,
    waits_for,
)
from penstock.operations.view import ClusterView, Gap, Object, name_of, namespace_of, part

__all__ = ["Remover", "TooSlow"]

_LOOK_AGAIN_SECONDS = 1.0
_MANAGED = "app.kubernetes.io/managed-by=penstock"
_MODEL_FACTS = "penstock.dev/role=model-facts"
_MOST_NAMED = 5


class TooSlow(Refusal):
    """Something was still there when the time was up; what is gone stays gone."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Remover:
    """Takes one installation away; `say` tells people, `seconds` bounds each wait."""

    client: Client
    namespace: str
    seconds: float
    say: Callable[[str], None]
    force: bool = False

    async def look(self) -> ClusterView:
        """What is there now."""
        return await read_view(self.client, READ_FOR_REMOVAL)

    async def resources(self) -> None:
        """All resources of ours, kind by kind, and then what was made for them."""
        for kind in ORDER:
            await self._kind(kind)
        await self._gone("what was made for them", self._children)

    async def chart(self, release: Release, target: Target) -> None:
        """`helm uninstall`, and wait for what it deleted; Refusal where Helm is not there or refuses."""
        words = ["uninstall", release.name, "--namespace", release.namespace, "--ignore-not-found"]
        words += ["--kubeconfig", target.file] if target.file else []
        words += ["--kube-context", target.context] if target.context else []
        self.say(f"helm uninstall {release.name} -n {release.namespace}")
        try:
            helm = await asyncio.create_subprocess_exec(
                "helm", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
        except FileNotFoundError as error:
            message = (
                "there is no `helm` on the PATH. Install it, or leave --helm out and uninstall the releases yourself"
            )
            raise Refusal(message) from error
        said, _ = await helm.communicate()
        if helm.returncode:
            message = f"helm uninstall {release.name} failed: {said.decode(errors='replace').strip()[-500:]}"
            raise Refusal(message)

    async def processes(self) -> tuple[str, ...]:
        """The Deployments of the chart that are there still."""
        found = await self._list(DEPLOYMENTS, self.namespace)
        return tuple(name_of(live) for live in found if name_of(live) in {OPERATOR, SERVER})

    async def wait_for_processes(self) -> None:
        """Until operator and server are gone: before that they would make anew what is left."""
        await self._gone("operator and server", self.processes)

    async def leftovers(self) -> None:
        """What the processes made for themselves, and no release owns."""
        places = [(LEASES, LEASE), (SECRETS, AUTHORITY_SECRET), (SECRETS, SERVER_SECRET)]
        facts = await self._list(CONFIG_MAPS, self.namespace, labels=_MODEL_FACTS)
        places += [(CONFIG_MAPS, name) for name in (LEARNT_CONFIG_MAP, *(name_of(live) for live in facts))]
        for kind, name in places:
            await self._delete(kind, name, self.namespace)

    async def definitions(self) -> None:
        """Our CRDs, each only while no object of it is left: a CRD takes its objects along, undrained."""
        lives = {kind: await self._list(kind) for kind in ORDER}
        left = [f"{kind}: {len(found)}" for kind, found in lives.items() if found]
        if left:
            message = (
                f"the CRDs stay, because there are new objects: {', '.join(left)}. Stop what makes them, then again"
            )
            raise TooSlow(message)
        for live in own_crds(await self.look()):
            await self._delete(CUSTOM_RESOURCE_DEFINITIONS, name_of(live))

    async def _kind(self, kind: ResourceType) -> None:
        asked: set[str] = set()

        async def left() -> tuple[str, ...]:
            found = await self._list(kind)
            for live in found:
                await self._ask(kind, live, asked)
            return tuple(f"{_place(live)} ({waits_for(live)})" for live in found)

        await self._gone(kind.plural, left)

    async def _ask(self, kind: ResourceType, live: Object, asked: set[str]) -> None:
        """Delete it, once; by force without its draining, where nobody is there to drain it."""
        metadata = part(live, "metadata")
        if metadata["uid"] not in asked and not metadata.get("deletionTimestamp"):
            await self._delete(kind, name_of(live), namespace_of(live) or None, uid=metadata["uid"])
        asked.add(metadata["uid"])
        if kind == MODEL_DEPLOYMENTS and FINALIZER in (metadata.get("finalizers") or ()):
            await self._let_go(live)

    async def _let_go(self, live: Object) -> None:
        view = await self.look()
        if operator_works(view, self.namespace, datetime.now(UTC)):
            return
        if not self.force:
            message = (
                f"the operator stopped, and {len(held(view))} deployments wait for it. Start it and run this again, or"
                " say --force to take them away undrained"
            )
            raise TooSlow(message)
        metadata = part(live, "metadata")
        kept = [name for name in metadata.get("finalizers") or () if name != FINALIZER]
        body = {"metadata": {"uid": metadata["uid"], "finalizers": kept}}
        self.say(f"undrained, by force: {_place(live)}")
        try:
            await self.client.patch(
                MODEL_DEPLOYMENTS, name_of(live), namespace_of(live), body, content_type=PatchType.MERGE
            )
        except (NotFound, Conflict):
            return

    async def _children(self) -> tuple[str, ...]:
        return tuple(f"Deployment {_place(live)}" for live in await self._list(DEPLOYMENTS, labels=_MANAGED))

    async def _list(self, kind: ResourceType, namespace: str | None = None, *, labels: str = "") -> tuple[Object, ...]:
        """What cannot be read is not gone: Refusal, but for a kind that is not served any more."""
        found = await listing(self.client, kind, namespace, labels=labels)
        if found.gap in {None, Gap.NOT_SERVED}:
            return found.items
        message = f"{found.message}. What is gone stays gone; run it again to go on"
        raise Refusal(message)

    async def _gone(self, what: str, left: Callable[[], Awaitable[tuple[str, ...]]]) -> None:
        """Look again until nothing is left; TooSlow says what is."""
        told: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(self.seconds):
                while found := await left():
                    if found != told:
                        self.say(f"waiting for {what}: {_some(found)}")
                        told = found
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        except TimeoutError as error:
            message = (
                f"after {self.seconds:.0f} s there is still {_some(told)}. What is gone stays gone; run it again to"
                " go on, with a longer --timeout"
            )
            raise TooSlow(message) from error
        if told:
            self.say(f"{what}: gone")

    async def _delete(self, kind: ResourceType, name: str, namespace: str | None = None, *, uid: str = "") -> None:
        try:
            await self.client.delete(kind, name, namespace, uid=uid or None)
        except (NotFound, Conflict):
            return
        except Forbidden as error:
            place = f"{namespace}/{name}" if namespace else name
            message = f"you may not delete {kind.kind} {place}. Ask for a role that allows it, then run this again"
            raise Refusal(message) from error
        self.say(f"deleted {kind.kind} {namespace}/{name}" if namespace else f"deleted {kind.kind} {name}")


def _place(live: Object) -> str:
    return f"{namespace_of(live)}/{name_of(live)}" if namespace_of(live) else name_of(live)


def _some(found: tuple[str, ...]) -> str:
    more = len(found) - _MOST_NAMED
    return ", ".join(found[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
