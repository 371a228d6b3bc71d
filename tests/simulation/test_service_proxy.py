"""Services listen at their own address, or say where else."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from builders.played import service
from penstock.cluster.fake.server import FakeAPIServer
from penstock.simulation.network import AddressBook
from penstock.simulation.service_proxy import ADDRESS_ANNOTATION, ServiceProxies

PORT = 8000


@asynccontextmanager
async def proxies(server: FakeAPIServer) -> AsyncIterator[ServiceProxies]:
    """Proxies that have seen every Service."""
    playing = ServiceProxies(server, AddressBook())
    running = asyncio.create_task(playing.run())
    for _ in range(20):
        await asyncio.sleep(0)
    try:
        yield playing
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def slice_of(name: str, place: tuple[str, int]) -> dict[str, Any]:
    """An EndpointSlice with one ready address."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [place[0]], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": place[1]}],
    }


async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greets and hangs up."""
    writer.write(b"hello")
    writer.close()


async def test_bytes_go_through_to_a_ready_endpoint() -> None:
    server = FakeAPIServer()
    backend = await asyncio.start_server(hello, "127.0.0.1", 0)
    server.put(service("front", "app", port=PORT))
    server.put(slice_of("front", backend.sockets[0].getsockname()))
    async with backend, proxies(server) as playing:
        reader, writer = await asyncio.open_connection(*playing.address("default", "front", PORT))
        assert await reader.read() == b"hello"
        writer.close()


async def test_without_an_endpoint_the_connection_is_closed() -> None:
    server = FakeAPIServer()
    server.put(service("front", "app", port=PORT))
    async with proxies(server) as playing:
        reader, writer = await asyncio.open_connection(*playing.address("default", "front", PORT))
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("raced", [False, True], ids=["before the look", "between the look and the listening"])
async def test_an_address_that_is_taken_is_replaced_and_the_service_says_by_what(
    monkeypatch: pytest.MonkeyPatch, *, raced: bool
) -> None:
    if raced:
        monkeypatch.setattr(AddressBook, "listen_at", lambda _self, *place: place)
    server = FakeAPIServer()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        front = service("front", "app", port=taken)
        server.put({**front, "spec": {**front["spec"], "clusterIP": "127.0.0.1"}})
        async with proxies(server) as playing:
            host, port = playing.address("default", "front", taken)
            assert port != taken
            live = server.get("services", "default", "front")
            assert live is not None
            assert live["metadata"]["annotations"][ADDRESS_ANNOTATION] == f"{host}:{port}"
            _, writer = await asyncio.open_connection(host, port)
            writer.close()


async def test_a_service_that_is_gone_listens_no_more() -> None:
    server = FakeAPIServer()
    server.put(service("front", "app", port=PORT))
    async with proxies(server) as playing:
        place = playing.address("default", "front", PORT)
        server.delete("services", "default", "front")
        for _ in range(20):
            await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*place)
        with pytest.raises(KeyError):
            playing.address("default", "front", PORT)
