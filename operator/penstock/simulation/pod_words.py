"""The words of a pod's container as its process gets them: environment, `$(NAME)`, mount paths, and where to listen."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.simulation.network import Place
from penstock.simulation.volumes import CannotStart, LookUp, NotThereYet, content_of

__all__ = ["Environment", "expand", "listening", "relocated", "runs_gateway"]

Object = dict[str, Any]

_MODULE = "penstock_gateway"
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_PORT_FLAGS = {"--port": 8000, "--internal-port": 8001}
"""The gateway's flags with their defaults."""


def runs_gateway(pod: Object) -> bool:
    """Whether the pod's main container runs the gateway's module."""
    container = pod["spec"]["containers"][0]
    return _MODULE in (*(container.get("command") or ()), *(container.get("args") or ()))


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` as Kubernetes expands it: `$$` is a dollar, an unknown name stays as it is written."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] is None else values.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


def relocated(text: str, mounts: Mapping[str, Path]) -> str:
    """The text with each mount path, and what is below it, where it is on this machine."""
    if not mounts:
        return text
    # One pass with the longest first: what was put in is not looked at again.
    paths = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{paths})(?![\w.-])", lambda found: str(mounts[found[0]]), text)


def listening(words: Sequence[str], place_of: Callable[[int], Place]) -> list[str]:
    """The gateway's words with the address, and the ports where they had to be moved; the last of a flag counts."""
    more: list[str] = []
    host = ""
    for flag, default in _PORT_FLAGS.items():
        port = _given(words, flag, default)
        host, real = place_of(port)
        more += [] if real == port else [flag, str(real)]
    return [*words, "--host", host, *more]


def _given(words: Sequence[str], flag: str, default: int) -> int:
    found = str(default)
    for word, following in zip(words, (*words[1:], ""), strict=True):
        if word == flag:
            found = following
        elif word.startswith(f"{flag}="):
            found = word.partition("=")[2]
    if not found.isdecimal():
        message = f"args: {flag} {found!r} is no port; give a number"
        raise CannotStart(message)
    return int(found)


@dataclass(slots=True)
class Environment:
    """Resolves the variables of a container of that pod; values are never told, as they may be secrets."""

    pod: Object
    address: str
    look_up: LookUp
    _values: dict[str, str] = field(default_factory=dict, repr=False)

    async def of(self, container: Object) -> dict[str, str]:
        """Names and values; NotThereYet where one must be waited for."""
        self._values = {}
        for source in container.get("envFrom") or ():
            await self._all_of(source)
        for variable in container.get("env") or ():
            value = await self._value(variable)
            if value is not None:
                self._values[variable["name"]] = value
        return self._values

    async def _all_of(self, source: Object) -> None:
        for reference, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
            if reference in source:
                content = await self._content(kind, source[reference])
                prefix = source.get("prefix", "")
                self._values |= {prefix + key: data.decode() for key, data in content.items()}

    async def _value(self, variable: Object) -> str | None:
        """None for an optional one that is missing."""
        source = variable.get("valueFrom")
        if source is None:
            return expand(variable.get("value", ""), self._values)
        if "fieldRef" in source:
            return self._field(variable["name"], source["fieldRef"]["fieldPath"])
        for reference, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            if reference in source:
                return await self._key(kind, source[reference])
        message = f"env[{variable['name']}].valueFrom: {', '.join(source)} is not played; use a literal or a key"
        raise CannotStart(message)

    async def _key(self, kind: str, wanted: Object) -> str | None:
        content = await self._content(kind, wanted)
        if wanted["key"] in content:
            return content[wanted["key"]].decode()
        if wanted.get("optional"):
            return None
        message = f"couldn't find key {wanted['key']} in {kind} {self._namespace}/{wanted['name']}"
        raise NotThereYet(message)

    async def _content(self, kind: str, wanted: Object) -> dict[str, bytes]:
        live = await self.look_up(kind, self._namespace, wanted["name"])
        if live is None and not wanted.get("optional"):
            message = f'{kind.lower()} "{self._namespace}/{wanted["name"]}" not found'
            raise NotThereYet(message)
        return content_of(live) if live else {}

    def _field(self, name: str, path: str) -> str:
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        if keyed := _KEYED.fullmatch(path):
            return str((metadata.get(keyed[1]) or {}).get(keyed[2], ""))
        known = {
            "metadata.name": metadata["name"],
            "metadata.namespace": metadata["namespace"],
            "metadata.uid": metadata["uid"],
            "spec.nodeName": spec.get("nodeName", ""),
            "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
            "status.podIP": self.address,
            "status.hostIP": (self.pod.get("status") or {}).get("hostIP", ""),
        }
        if path not in known:
            message = f"env[{name}].valueFrom.fieldRef.fieldPath: {path} is not played; known are {', '.join(known)}"
            raise CannotStart(message)
        return str(known[path])

    @property
    def _namespace(self) -> str:
        found: str = self.pod["metadata"]["namespace"]
        return found
