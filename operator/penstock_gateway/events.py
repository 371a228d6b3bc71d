"""Server-sent events on their way through: whole events go on as bytes, only those that tell usage are looked at."""

from dataclasses import dataclass

import orjson

from penstock_gateway.usage import Usage, usage_of_object

__all__ = ["Events"]

_LONGEST_EVENT_BYTES = 2**20


@dataclass(slots=True)
class Events:
    """One stream. With `drops_usage` the chunk that tells nothing but usage is kept from the client."""

    drops_usage: bool
    usage: Usage | None = None
    _rest: bytes = b""

    def feed(self, piece: bytes) -> bytes:
        """What of it goes on now: up to the end of the last whole event."""
        data = self._rest + piece if self._rest else piece
        end = _last_end(data)
        if end == 0 and len(data) > _LONGEST_EVENT_BYTES:
            # Nobody's event; it goes on as it is, rather than fill the memory.
            end = len(data)
        self._rest = data[end:]
        whole = data if end == len(data) else data[:end]
        return self._looked_at(whole) if b'"usage"' in whole else whole

    def end(self) -> bytes:
        """What was left without an end."""
        rest, self._rest = self._rest, b""
        return self._looked_at(rest) if b'"usage"' in rest else rest

    def _looked_at(self, data: bytes) -> bytes:
        return b"".join(event for event in _events(data) if self._passes(event))

    def _passes(self, event: bytes) -> bool:
        if b'"usage"' not in event:
            return True
        content = _data(event)
        found = usage_of_object(content)
        if found is None:
            return True
        self.usage = self.usage.later(found) if self.usage else found
        return not (self.drops_usage and isinstance(content, dict) and content.get("choices") == [])


def _last_end(data: bytes) -> int:
    """The position behind the last blank line; 0 where there is none."""
    plain, carriage = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
    return max(plain + 2 if plain >= 0 else 0, carriage + 4 if carriage >= 0 else 0)


def _events(data: bytes) -> list[bytes]:
    """Each with its blank line."""
    separator = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    parts = data.split(separator)
    events = [part + separator for part in parts[:-1]]
    return [*events, parts[-1]] if parts[-1] else events


def _data(event: bytes) -> object:
    lines = [line[5:] for line in event.splitlines() if line.startswith(b"data:")]
    try:
        return orjson.loads(b"\n".join(lines))
    except orjson.JSONDecodeError:
        return None
