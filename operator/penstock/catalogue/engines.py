"""Engines: default versions, images, the flags of each release, and which hardware runs which precision on them.

Flag lists are read from the released packages by `tools/engine_flags.py`; the precision table is what was seen running
(sizing.md 1.1).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from penstock.api.formats import EngineName, Precision
from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.accelerators import Accelerator, FormatSupport, Vendor
from penstock.catalogue.behaviour import emulates

__all__ = ["DEFAULT_VERSIONS", "FlagList", "default_image", "engine_supports", "flags_of", "known_versions"]

DEFAULT_VERSIONS: Mapping[EngineName, str] = MappingProxyType({EngineName.VLLM: "0.33.0", EngineName.SGLANG: "0.5.23"})

_LEADING_NUMBERS = re.compile(r"[0-9]+(\.[0-9]+)*")

_IMAGES: Mapping[tuple[EngineName, Vendor], str] = {
    (EngineName.VLLM, Vendor.NVIDIA): "vllm/vllm-openai:v{version}",
    (EngineName.VLLM, Vendor.AMD): "vllm/vllm-openai-rocm:v{version}",
    (EngineName.SGLANG, Vendor.NVIDIA): "lmsysorg/sglang:v{version}",
    (EngineName.SGLANG, Vendor.AMD): "lmsysorg/sglang:v{version}-rocm720-{chips}",
}
"""SGLang's ROCm tags are those seen in use with 0.5.14 and not verified against a registry for later ones; a pool's
`engineImages` overrides any of them."""

_AMD_CHIPS = {"cdna4": "mi35x"}
_OLDER_AMD_CHIPS = "mi30x"


@dataclass(frozen=True, slots=True)
class FlagList:
    """The flags of one release: every spelling (with `-`) -> whether it takes a value.

    `aliases` leads from other spellings to the first one, `negations` from those that turn a switch off. `lists` take
    several values, `optional` may stand without one.
    """

    engine: EngineName
    version: str
    values: Mapping[str, bool]
    aliases: Mapping[str, str] = field(default_factory=dict)
    negations: Mapping[str, str] = field(default_factory=dict)
    lists: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Every flag."""
        return tuple(self.values)

    def knows(self, name: str) -> bool:
        """True for a flag of this release, in a form that turns it off too where it has one."""
        return name in self.values or name in self.negations

    def takes_value(self, name: str) -> bool:
        """True where a value may follow; False for switches and what is not known."""
        return self.values.get(name, False)


def default_image(engine: EngineName, version: str, vendor: Vendor, architecture: str = "") -> str:
    """The engine's own image; pools may name another. SGLang builds one for each of AMD's architectures."""
    return _IMAGES[engine, vendor].format(version=version, chips=_AMD_CHIPS.get(architecture, _OLDER_AMD_CHIPS))


def known_versions(engine: EngineName) -> tuple[str, ...]:
    """Releases whose flags are in the catalogue, newest first."""
    return tuple(sorted((version for name, version in _releases() if name is engine), key=_ordered, reverse=True))


def flags_of(engine: EngineName, version: str) -> FlagList:
    """The flags of that release, or of the newest known one that is not newer; Refused where it is older than all."""
    wanted = _ordered(version)
    for known in known_versions(engine):
        if _ordered(known) <= wanted:
            return replace(_releases()[engine, known], version=version)
    oldest = known_versions(engine)[-1]
    refusal = Refusal(
        "spec.engineImages[].version", version, f"{engine} before {oldest} is not known", "Use a newer one"
    )
    raise Refused([refusal])


def engine_supports(engine: EngineName, accelerator: Accelerator, precision: Precision) -> bool:
    """Whether the engine was seen running that precision on that hardware; what was never seen needs proof first."""
    support = accelerator.formats.get(precision)
    if support is None:
        return False
    return support is not FormatSupport.EMULATED or emulates(engine, precision)


@cache
def _releases() -> Mapping[tuple[EngineName, str], FlagList]:
    entries = resources.files("penstock.catalogue").joinpath("flags").iterdir()
    lists = [_flag_list(json.loads(entry.read_text())) for entry in entries if entry.name.endswith(".json")]
    return MappingProxyType({(each.engine, each.version): each for each in lists})


def _flag_list(release: Mapping[str, Any]) -> FlagList:
    return FlagList(
        engine=EngineName(release["engine"]),
        version=release["version"],
        values=MappingProxyType(release["flags"]),
        aliases=MappingProxyType(release["aliases"]),
        negations=MappingProxyType(release["negations"]),
        lists=frozenset(release["lists"]),
        optional=frozenset(release["optional"]),
    )


def _ordered(version: str) -> tuple[int, ...]:
    """The leading numbers: a build of 0.33.0 for other hardware (`0.33.0-rocm700`) has the flags of 0.33.0."""
    match = _LEADING_NUMBERS.match(version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
