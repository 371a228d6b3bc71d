"""A support bundle as it grows: files within bounds, and a manifest of what is in it, what is not, and why.

Everything that comes in is redacted here, so that no caller can forget it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.operations.redaction import redact, redact_text

__all__ = ["Bundle", "File"]

_MANIFEST_BYTES = 2**20
_CUT = b"[cut: only the end is here]\n"


@dataclass(frozen=True, slots=True)
class File:
    """One file of the bundle; the path is relative to its folder."""

    path: str
    content: bytes


@dataclass(slots=True)
class Bundle:
    """Files up to `most_bytes` together, before compression; `about` is the head of the manifest."""

    most_bytes: int
    about: Mapping[str, Any] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    _used: int = 0
    _cut: dict[str, int] = field(default_factory=dict)

    def add(self, path: str, content: Any) -> None:
        """An object or several, as JSON; left out, and noted, where there is no room for it."""
        body = json.dumps(redact(content), indent=1, ensure_ascii=False, default=str).encode()
        if len(body) > self._room:
            self.leave_out(path, f"{len(body)} bytes, and the bundle has room for {max(self._room, 0)}")
            return
        self._keep(path, body)

    def add_text(self, path: str, text: str, *, most_bytes: int) -> None:
        """Text, its end where it is too long: what happened last explains most."""
        body = redact_text(text).encode()
        most = min(most_bytes, self._room)
        if most <= len(_CUT):
            self.leave_out(path, "the bundle has no room for it")
            return
        if len(body) > most:
            self._cut[path] = len(body)
            body = _CUT + _last_lines(body, most - len(_CUT))
        self._keep(path, body)

    def leave_out(self, what: str, why: str) -> None:
        """Say in the manifest that something is not there, and why."""
        self.left_out.append({"what": what, "why": redact_text(why)})

    def manifest(self) -> File:
        """The last file: everything that is in the bundle, with its size, and what is not."""
        files = [
            {
                "path": each.path,
                "bytes": len(each.content),
                **({"cutFrom": self._cut[each.path]} if each.path in self._cut else {}),
            }
            for each in self.files
        ]
        content = {**self.about, "files": files, "leftOut": self.left_out}
        return File("manifest.json", json.dumps(content, indent=1).encode())

    @property
    def _room(self) -> int:
        return self.most_bytes - _MANIFEST_BYTES - self._used

    def _keep(self, path: str, body: bytes) -> None:
        self.files.append(File(path, body))
        self._used += len(body)


def _last_lines(body: bytes, most: int) -> bytes:
    """Whole lines from the end; of one endless line its end."""
    tail = body[-most:]
    whole = tail.partition(b"\n")[2]
    return whole or tail.decode(errors="ignore").encode()
