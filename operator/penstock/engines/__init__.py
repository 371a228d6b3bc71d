"""One module per engine: plan -> container; pure.

A new engine is one module and one line in `ENGINES`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from penstock.api.formats import EngineName
from penstock.engines.contract import Engine
from penstock.engines.sglang import SGLang
from penstock.engines.vllm import VLLM

__all__ = ["ENGINES"]

ENGINES: Mapping[EngineName, Engine] = MappingProxyType({EngineName.VLLM: VLLM(), EngineName.SGLANG: SGLang()})
