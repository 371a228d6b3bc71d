"""How large a checkpoint's weights are, without downloading them.

Only files that an engine loads count: repositories repeat weights in other formats (gpt-oss holds them three times).
"""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.hub.errors import MalformedModel
from penstock.hub.transport import HubSession

__all__ = ["RepositoryFiles", "WeightsSize", "read_weights"]

_LARGEST_INDEX = 32 * 2**20
_LARGEST_HEADER = 16 * 2**20
_LENGTH_PREFIX = 8
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_LARGEST_SIZE = 2**50
_MOST_FILES = 100_000


@dataclass(frozen=True, slots=True)
class RepositoryFiles:
    """File names and sizes in bytes (None where the hub does not say); `listed` is false where it lists no files."""

    sizes: Mapping[str, int | None]
    listed: bool

    @classmethod
    def of(cls, listing: Mapping[str, Any]) -> "RepositoryFiles":
        """From the hub's description of a repository; entries that make no sense are left out."""
        entries = listing.get("siblings")
        if not isinstance(entries, list):
            return cls(sizes={}, listed=False)
        named = [entry for entry in entries[:_MOST_FILES] if isinstance(entry, dict)]
        sizes = {name: _size(entry.get("size")) for entry in named if isinstance(name := entry.get("rfilename"), str)}
        return cls(sizes=sizes, listed=True)

    def total(self, names: Iterable[str]) -> int | None:
        """Bytes of these files together, None where one is unknown or none is given."""
        sizes = [self.sizes.get(name) for name in names]
        return sum(size or 0 for size in sizes) if sizes and None not in sizes else None

    def at_root(self, suffix: str) -> list[str]:
        """Files of this kind that lie in no folder."""
        return [name for name in self.sizes if name.endswith(suffix) and "/" not in name]


@dataclass(frozen=True, slots=True)
class WeightsSize:
    """Bytes of all weights that an engine loads, None where there are none, and bytes per data type where known."""

    total_bytes: int | None
    dtype_bytes: Mapping[str, int] = field(default_factory=dict)


async def read_weights(session: HubSession, here: str, files: RepositoryFiles) -> WeightsSize:
    """From the safetensors index, else the one file (its header where no size is listed), else other formats' files."""
    if _INDEX in files.sizes or not files.listed:
        return WeightsSize(await _indexed(session, here, files))
    if _SINGLE in files.sizes:
        return await _single(session, here, files)
    return WeightsSize(files.total(files.at_root(".safetensors")) or files.total(files.at_root(".bin")))


async def _indexed(session: HubSession, here: str, files: RepositoryFiles) -> int:
    index = await session.json(f"{here}/{_INDEX}", at_most=_LARGEST_INDEX)
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        message = f"{session.subject}: {_INDEX} has no weight_map; pick another revision"
        raise MalformedModel(message)
    metadata = index.get("metadata")
    stated = _size(metadata.get("total_size")) if isinstance(metadata, dict) else None
    total = files.total(sorted(set(shards.values()))) or stated
    if total is None:
        message = f"{session.subject}: neither its index nor the hub states the size of the weights"
        raise MalformedModel(message)
    return total


async def _single(session: HubSession, here: str, files: RepositoryFiles) -> WeightsSize:
    header = await _header(session, f"{here}/{_SINGLE}")
    by_type: dict[str, int] = {}
    for tensor in header.values():
        span = tensor.get("data_offsets") if isinstance(tensor, dict) else None
        if isinstance(span, list) and [type(end) for end in span] == [int, int] and 0 <= span[0] <= span[1]:
            dtype = str(tensor.get("dtype", ""))[:16]
            by_type[dtype] = by_type.get(dtype, 0) + span[1] - span[0]
    total = files.sizes.get(_SINGLE) or sum(by_type.values())
    return WeightsSize(total or None, by_type)


async def _header(session: HubSession, path: str) -> dict[str, Any]:
    """The tensor table at the head of a safetensors file, by two range requests."""
    prefix = await _range(session, path, 0, _LENGTH_PREFIX)
    (length,) = struct.unpack("<Q", prefix)
    if length > _LARGEST_HEADER:
        message = f"{session.subject}: the header of {_SINGLE} is larger than {_LARGEST_HEADER} bytes"
        raise MalformedModel(message)
    content = await _range(session, path, _LENGTH_PREFIX, length)
    try:
        header = json.loads(content)
    except (ValueError, RecursionError) as error:
        message = f"{session.subject}: the header of {_SINGLE} is not JSON; pick another revision"
        raise MalformedModel(message) from error
    return header if isinstance(header, dict) else {}


async def _range(session: HubSession, path: str, start: int, length: int) -> bytes:
    """A server that ignores the range sends the whole file, which the limit stops at once."""
    headers = {"range": f"bytes={start}-{start + length - 1}", "accept-encoding": "identity"}
    content = await session.content(path, at_most=length, headers=headers)
    if len(content) != length:
        message = f"{session.subject}: {_SINGLE} ended after {len(content)} of {length} bytes"
        raise MalformedModel(message)
    return content


def _size(value: Any) -> int | None:
    plausible = isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LARGEST_SIZE
    return value if plausible else None
