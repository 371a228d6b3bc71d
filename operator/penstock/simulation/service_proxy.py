"""The Services' addresses, played: a TCP proxy for each, which spreads connections over its ready endpoints.

Reads EndpointSlices, like kube-proxy. A connection stays with its pod; without an endpoint it is refused by closing.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from penstock.cluster.fake.server import FakeAPIServer
from penstock.simulation.network import AddressBook, Place

__all__ = ["ADDRESS_ANNOTATION", "ServiceProxies"]

Object = dict[str, Any]

ADDRESS_ANNOTATION = "simulation.penstock.dev/address"
_CHUNK = 2**16
_MOST_CONNECTIONS = 4096


@dataclass(slots=True)
class _Proxy:
    """One port of one Service."""

    server: FakeAPIServer
    book: AddressBook
    service: tuple[str, str]
    uid: str
    address: str
    port_name: str
    connections: asyncio.Semaphore
    listener: asyncio.Server | None = None
    turn: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self, place: Place) -> None:
        """Begin to take connections."""
        self.listener = await asyncio.start_server(self._accepted, *place)

    async def close(self) -> None:
        """End the listener; connections that are open go on to their end by themselves or are cut at the stop."""
        if self.listener is not None:
            self.listener.close()
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        try:
            async with self.connections:
                await self._serve(reader, writer)
        except OSError:
            # The pod went away in between: the client sees its connection close, as behind kube-proxy.
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = self._next()
        if place is None:
            return
        pod_reader, pod_writer = await asyncio.open_connection(*self.book.find(*place))
        try:
            async with asyncio.TaskGroup() as group:
                answers = group.create_task(_pipe(pod_reader, writer))
                questions = group.create_task(_pipe(reader, pod_writer))
                await answers
                questions.cancel()
        finally:
            pod_writer.close()

    def _next(self) -> Place | None:
        """The next ready endpoint in turn."""
        slices = self.server.get("endpointslices", *self.service)
        if slices is None:
            return None
        ready = [each["addresses"][0] for each in slices["endpoints"] if each["conditions"]["ready"]]
        ports = [each["port"] for each in slices["ports"] if each["name"] == self.port_name]
        if not ready or not ports:
            return None
        self.turn += 1
        return ready[self.turn % len(ready)], ports[0]


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes from one to the other until the first ends."""
    # A socket that the other side has reset is "not connected" when its end is written: that is no ConnectionError.
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@dataclass(slots=True)
class ServiceProxies:
    """Opens and closes proxies as Services come and go."""

    server: FakeAPIServer
    book: AddressBook
    _proxies: dict[tuple[str, str, int], _Proxy] = field(default_factory=dict)
    _connections: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_CONNECTIONS))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until cancelled; then every proxy is closed."""
        unsubscribe = self.server.subscribe(self._heard)
        try:
            while True:
                self._changed.clear()
                await self._agree()
                await self._changed.wait()
        finally:
            unsubscribe()
            for proxy in self._proxies.values():
                await proxy.close()

    def address(self, namespace: str, name: str, port: int) -> Place:
        """Where clients on this machine reach a Service; KeyError where it has no address."""
        service = self.server.get("services", namespace, name)
        if service is None:
            message = f"service {namespace}/{name}"
            raise KeyError(message)
        return self.book.find(service["spec"]["clusterIP"], port)

    def _heard(self, _type: str, live: Object, _before: Object | None) -> None:
        if live["kind"] == "Service":
            self._changed.set()

    async def _agree(self) -> None:
        """Listen for every Service that there is, and for no other."""
        wanted = {
            (*_place(service), port["port"]): (service, port)
            for service in self.server.objects("services")
            if service["spec"].get("selector") and service["spec"].get("clusterIP", "None") != "None"
            for port in service["spec"]["ports"]
        }
        for key, proxy in tuple(self._proxies.items()):
            if key not in wanted or wanted[key][0]["metadata"]["uid"] != proxy.uid:
                del self._proxies[key]
                await proxy.close()
                self.book.forget(proxy.address, key[2])
        for key, (service, port) in wanted.items():
            if key not in self._proxies:
                await self._open(key, service, port)

    async def _open(self, key: tuple[str, str, int], service: Object, port: Object) -> None:
        address = service["spec"]["clusterIP"]
        proxy = _Proxy(
            server=self.server,
            book=self.book,
            service=_place(service),
            uid=service["metadata"]["uid"],
            address=address,
            port_name=port.get("name", ""),
            connections=self._connections,
        )
        place = self.book.listen_at(address, port["port"])
        try:
            await proxy.listen(place)
        except OSError:
            # Somebody else on this machine was faster.
            place = self.book.listen_elsewhere(address, port["port"])
            await proxy.listen(place)
        self._proxies[key] = proxy
        if place != (address, port["port"]):
            self.server.update("services", *_place(service), _annotated(f"{place[0]}:{place[1]}"))


def _place(live: Object) -> tuple[str, str]:
    return live["metadata"]["namespace"], live["metadata"]["name"]


def _annotated(place: str) -> Callable[[Object], Object]:
    """Says where a Service really listens, for people with curl."""

    def annotate(live: Object) -> Object:
        annotations = {**(live["metadata"].get("annotations") or {}), ADDRESS_ANNOTATION: place}
        return {**live, "metadata": {**live["metadata"], "annotations": annotations}}

    return annotate
