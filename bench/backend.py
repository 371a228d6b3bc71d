"""A backend that costs nearly nothing: raw asyncio, fixed answers of OpenAI's chat API, as a process of its own.

Run as `python -m bench.backend PORT [CHUNKS]`; a request with `"stream": true` gets CHUNKS events.
"""

import asyncio
import contextlib
import sys

__all__ = ["main"]

_USAGE = b'"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}'
_ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"' + b"word " * 50 + b'"},"finish_reason":"stop"}],' + _USAGE + b"}"
)
_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"bench","choices":'
    b'[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
)
_LAST = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"bench","choices":'
    b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
)
_TOLD = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"bench","choices":[],'
    + _USAGE
    + b"}\n\n"
)
_END = b"data: [DONE]\n\n"


def main() -> None:
    """Serve on loopback until killed."""
    port, chunks = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10
    asyncio.run(_serve(port, chunks))


async def _serve(port: int, chunks: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                await _answer(writer, body, chunks)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
        await server.serve_forever()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _answer(writer: asyncio.StreamWriter, body: bytes, chunks: int) -> None:
    if b'"stream":true' not in body.replace(b" ", b""):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_ANSWER)
        writer.write(head + _ANSWER)
        await writer.drain()
        return
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    told = (_TOLD,) if b"include_usage" in body else ()
    for event in (*[_CHUNK] * chunks, _LAST, *told, _END):
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


if __name__ == "__main__":
    main()
