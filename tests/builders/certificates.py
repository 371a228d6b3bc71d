"""Authorities and certificates for tests, in memory and in files."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from penstock.certificates.issuing import new_authority, new_server
from penstock.certificates.pairs import Pair

__all__ = ["NOW", "authority", "leaf", "speaks_tls", "write_pair"]

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def authority(*, now: datetime | None = None, days: float = 730) -> Pair:
    """One that holds now."""
    return new_authority(now or datetime.now(UTC).replace(microsecond=0), timedelta(days=days))


def leaf(signer: Pair, *names: str, now: datetime | None = None, days: float = 90) -> Pair:
    """For a server of these names, 127.0.0.1 where none is given."""
    made = now or datetime.now(UTC).replace(microsecond=0)
    return new_server(signer, names or ("127.0.0.1",), made, timedelta(days=days))


def write_pair(folder: Path, pair: Pair) -> tuple[Path, Path]:
    """As the kubelet does: both files are links into a folder that is swapped whole."""
    number = len(list(folder.glob("..data-*")))
    content = folder / f"..data-{number}"
    content.mkdir(parents=True)
    (content / "tls.crt").write_text(pair.certificate_pem)
    (content / "tls.key").write_text(pair.key_pem)
    draft = folder / "..data_tmp"
    draft.symlink_to(content.name)
    draft.replace(folder / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    return folder / "tls.crt", folder / "tls.key"


@asynccontextmanager
async def speaks_tls(pair: Pair, folder: Path, body: bytes = b"{}") -> AsyncIterator[str]:
    """A server that answers every request with that body, one per connection; gives its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(folder, pair))
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\npenstock-generation: 1\r\nconnection: close\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
