"""What hosted providers answer, in the forms of OpenAI's and Anthropic's APIs, whole and as streams."""

import json
from typing import Any

from aiohttp import web

__all__ = ["provides"]

_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
_SAYS = {"role": "assistant", "content": "hello"}
_CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "served", "usage": _USAGE}
_MESSAGE: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "model": "served"}
_WHOLE: dict[str, dict[str, Any]] = {
    "chat/completions": {**_CHAT, "choices": [{"index": 0, "message": _SAYS, "finish_reason": "stop"}]},
    "completions": {
        **_CHAT,
        "object": "text_completion",
        "choices": [{"index": 0, "text": "hello", "finish_reason": "stop"}],
    },
    "embeddings": {
        "object": "list",
        "model": "served",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
        "usage": {"prompt_tokens": 10, "total_tokens": 10},
    },
    "responses": {"id": "r", "object": "response", "output": [], "usage": {"input_tokens": 10, "output_tokens": 5}},
    "messages": {
        **_MESSAGE,
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 5},
    },
}
_CHUNKS = [
    {**_CHAT, "object": "chat.completion.chunk", "usage": None, "choices": [{"index": 0, "delta": _SAYS}]},
    {
        **_CHAT,
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    },
]
_EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {**_MESSAGE, "content": [], "usage": {"input_tokens": 10, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


async def provides(request: web.Request) -> web.StreamResponse:
    """10 tokens in, 5 out; by the path that is asked."""
    operation = request.path.removeprefix("/v1/")
    if operation not in _WHOLE:
        return web.json_response({"error": {"message": f"no {request.path}"}}, status=404)
    if not json.loads(await request.read()).get("stream"):
        return web.json_response(_WHOLE[operation])
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    if operation == "messages":
        for event in _EVENTS:
            await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return response
    for chunk in _CHUNKS:
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response
