"""Which engine was measured to be the faster one for a model family on a GPU architecture; where nobody compared, vLLM.

Read from engine_evidence.json, which names its source.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from penstock.api.formats import EngineName

__all__ = ["DEFAULT_ENGINE", "Evidence", "evidence_for"]

DEFAULT_ENGINE = EngineName.VLLM


@dataclass(frozen=True, slots=True)
class Evidence:
    """The engine that is preferred, and what was seen; empty `seen`: it is the default and was not compared."""

    engine: EngineName
    seen: str


_NOT_COMPARED = Evidence(DEFAULT_ENGINE, "")


def evidence_for(family: str, architecture: str) -> Evidence:
    """The evidence on a model family (the config's architecture) and a GPU architecture such as `hopper`."""
    return _rows().get((family, architecture), _NOT_COMPARED)


@cache
def _rows() -> Mapping[tuple[str, str], Evidence]:
    text = resources.files("penstock.catalogue").joinpath("engine_evidence.json").read_text(encoding="utf-8")
    return {
        (family, architecture): Evidence(EngineName(row["engine"]), row["evidence"])
        for row in json.loads(text)["rows"]
        for family in row["families"]
        for architecture in row["architectures"]
    }
