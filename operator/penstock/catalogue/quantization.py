"""Which number format a checkpoint holds, read from its quantization_config; never guessed from names.

Formats that the planner does not know are refused: a size computed for the wrong format is worse than none.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.api.formats import Precision
from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.config_reader import ConfigReader
from penstock.catalogue.parameters import Group

__all__ = ["Quantization", "read_quantization"]

_PLAIN_BITS = 16.0
_LONGEST_LIST = 200_000
_HALF_BYTE, _BYTE = 4, 8
_SCALED_BY_SIXTEEN = 16
_EXPERTS_BITS = 4.25
_DRAFT = re.compile(r"^(model\.)?mtp|nextn")
_MARKS = (
    (Group.SHARED, re.compile(r"shared_?expert")),
    (Group.EXPERTS, re.compile(r"experts")),
    (Group.RECURRENT, re.compile(r"linear_attn|mamba|conv1d|mixer\.(in|out)_proj")),
    (Group.ATTENTION, re.compile(r"attn|attention|mixer\.[qkvo]_proj")),
    (Group.DENSE, re.compile(r"mlp|feed_forward|ffn")),
)
_LAYER = re.compile(r"layers\.(\d+)")
_WHOLE_LAYER = re.compile(r"layers\.\d+(\.?\*)?$")
_NOT_WEIGHTS = re.compile(r"norm|bias|router|indexer|kv_a_proj|q_a_proj|mlp\.gate$|shared_expert_gate|moe\.gate$")
_IGNORE_KEYS = ("ignore", "modules_to_not_convert", "exclude_modules", "exclude", "ignored_layers")


@dataclass(frozen=True, slots=True)
class Quantization:
    """A checkpoint's format. `bits` is per weight with its scales; `kept` the share of a group that stays 16-bit.

    `overrides` are groups with a format of their own (bits per weight), in checkpoints of mixed precision;
    `keeps_drafts` says that the layers for speculative decoding stay 16-bit.
    """

    precision: Precision
    bits: float = _PLAIN_BITS
    block_size: int = 0
    group_size: int = 0
    kept: Mapping[Group, float] = field(default_factory=dict)
    overrides: Mapping[Group, float] = field(default_factory=dict)
    keeps_drafts: bool = False

    def bits_of(self, group: Group) -> float:
        """Mean bits per weight of a group; embedding, head, router and vision tower stay 16-bit."""
        if group is Group.OTHER:
            return _PLAIN_BITS
        kept = self.kept.get(group, 0.0)
        return kept * _PLAIN_BITS + (1 - kept) * self.overrides.get(group, self.bits)


def read_quantization(reader: ConfigReader, *, layers: Mapping[Group, int]) -> Quantization:
    """From `quantization_config` and the data type, given each group's layers; Refused names an unknown method."""
    section = reader.nested("quantization_config", "compression_config")
    if section is None:
        return Quantization(_plain(reader))
    quantization = _read_method(section)
    if quantization is None:
        method = section.text("quant_method") or section.text("quant_algo") or "without a quant_method"
        cure = "Pick a checkpoint in BF16, FP8, INT8, INT4, MXFP4 or NVFP4"
        reason = "its quantization_config is of a kind that is not known"
        raise Refused([Refusal("metadata.config", method, reason, cure)])
    mixed = section.nested("quantized_layers")
    names = [str(name) for name in section.items(*_IGNORE_KEYS)][:_LONGEST_LIST]
    keeps_drafts = any(_DRAFT.search(name) for name in names)
    if mixed is not None:
        return replace(_with_mixed_layers(quantization, mixed.parts[0]), keeps_drafts=keeps_drafts)
    own = {Group.EXPERTS: _EXPERTS_BITS} if reader.text("expert_dtype") == "fp4" else {}
    kept = _kept_shares((name for name in names if not _DRAFT.search(name)), layers)
    return replace(quantization, kept=kept, overrides=own, keeps_drafts=keeps_drafts)


def _plain(reader: ConfigReader) -> Precision:
    return Precision.FP16 if reader.text("torch_dtype", "dtype") == "float16" else Precision.BF16


def _read_method(section: ConfigReader) -> Quantization | None:
    reader = _METHODS.get(section.text("quant_method"))
    return reader(section) if reader else _named(section.text("quant_algo"))


def _float8(section: ConfigReader) -> Quantization:
    block = section.items("weight_block_size")
    size = block[0] if block and isinstance(block[0], int) and block[0] > 0 else 0
    return Quantization(Precision.FP8, bits=8 + (32 / size**2 if size else 0), block_size=size)


def _group_size(section: ConfigReader) -> int:
    """AWQ and GPTQ write -1 for one group per row."""
    size = section.value("group_size", "q_group_size")
    return max(0, size) if isinstance(size, int) else 128


def _integer(bits: int, group: int, *, zero_points: bool = False) -> Quantization | None:
    """A scale of 16 bits per group, and a zero point of the weights' width where the format has them."""
    extra = 16 + (bits if zero_points else 0)
    per_weight = bits + (extra / group if group else 0)
    if bits == _BYTE:
        return Quantization(Precision.INT8, bits=per_weight)
    if bits != _HALF_BYTE:
        return None
    return Quantization(Precision.INT4, bits=per_weight, group_size=group)


def _named(algorithm: str) -> Quantization | None:
    """The formats that are known by one word: modelopt's algorithms, compressed-tensors' formats, quark's types."""
    word = algorithm.lower()
    return next((quantization for mark, quantization in _WORDS if mark in word), None)


def _mxfp4(_: ConfigReader) -> Quantization | None:
    return _named("mxfp4")


def _grouped_integer(section: ConfigReader) -> Quantization | None:
    return _integer(section.number("bits", "w_bit", default=4), _group_size(section), zero_points=True)


def _bitsandbytes(section: ConfigReader) -> Quantization | None:
    return _integer(_HALF_BYTE if section.flag("load_in_4bit") else _BYTE, 64)


def _modelopt(section: ConfigReader) -> Quantization | None:
    algorithm = section.text("quant_algo")
    if algorithm == "MIXED_PRECISION":
        mixed = section.nested("quantized_layers")
        return _dominant(mixed.parts[0]) if mixed else None
    return _named(algorithm or section.text("quant_method"))


def _quark(section: ConfigReader) -> Quantization | None:
    whole = section.nested("global_quant_config")
    weight = whole.nested("weight") if whole else None
    kind = weight.text("dtype") if weight else ""
    if kind in {"fp4", "mxfp4"}:
        return _named("mxfp4")
    return _named("fp8" if kind.startswith("fp8") else kind)


def _compressed_tensors(section: ConfigReader) -> Quantization | None:
    form = section.text("format")
    if "mxfp4" in form or "nvfp4" in form:
        return _named(form)
    groups = section.nested("config_groups")
    first = next(iter(groups.parts[0].values()), None) if groups else None
    weights = ConfigReader(section.model, (first,)).nested("weights") if isinstance(first, Mapping) else None
    if weights is None:
        return _named(form)
    bits = weights.number("num_bits", default=_BYTE)
    group = _group_size(weights) if weights.value("group_size") is not None else 0
    if weights.text("type") != "float":
        return _integer(bits, group, zero_points=weights.value("symmetric") is False)
    if bits == _HALF_BYTE:
        return _named("nvfp4" if group <= _SCALED_BY_SIXTEEN else "mxfp4")
    return _float8_of(weights)


def _float8_of(weights: ConfigReader) -> Quantization:
    block = weights.items("block_structure")
    size = block[0] if block and isinstance(block[0], int) and block[0] > 0 else 0
    return Quantization(Precision.FP8, bits=8, block_size=size)


def _kept_shares(names: Iterable[str], layers: Mapping[Group, int]) -> dict[Group, float]:
    """The share of each group's layers that an ignore list names; a pattern without a layer number means all."""
    named: dict[Group, set[str]] = {group: set() for group in Group}
    everywhere = set()
    for name in names:
        if _NOT_WEIGHTS.search(name):
            continue
        group, number = _group_of(name), _LAYER.search(name)
        if group is None and _WHOLE_LAYER.search(name) and number is not None:
            named[Group.ATTENTION].add(number[1])
            named[Group.DENSE].add(number[1])
        elif group is not None and number is None:
            everywhere.add(group)
        elif group is not None and number is not None:
            named[group].add(number[1])
    shares = {group: 1.0 if group in everywhere else len(named[group]) / max(1, layers[group]) for group in layers}
    return {group: min(1.0, share) for group, share in shares.items() if share}


def _group_of(name: str) -> Group | None:
    return next((group for group, mark in _MARKS if mark.search(name)), None)


def _with_mixed_layers(quantization: Quantization, modules: Mapping[str, Any]) -> Quantization:
    """Each group has the format of its listed modules; a group that is not listed stays 16-bit."""
    overrides: dict[Group, float] = {}
    for name, entry in list(modules.items())[:_LONGEST_LIST]:
        group = _group_of(name)
        known = _named(str(entry.get("quant_algo", ""))) if isinstance(entry, Mapping) else None
        if group is not None and known is not None:
            overrides[group] = max(known.bits, overrides.get(group, 0))
    absent = {group: 1.0 for group in Group if group not in overrides}
    return Quantization(
        quantization.precision,
        bits=quantization.bits,
        group_size=quantization.group_size,
        kept=absent,
        overrides=overrides,
    )


def _dominant(modules: Mapping[str, Any]) -> Quantization | None:
    """The format of the experts where there are any, else of the smallest weights: it decides the hardware."""
    known = [
        ("expert" not in name, found.bits, found)
        for name, entry in list(modules.items())[:_LONGEST_LIST]
        if isinstance(entry, Mapping) and (found := _named(str(entry.get("quant_algo", "")))) is not None
    ]
    return min(known, key=lambda each: each[:2])[2] if known else None


_WORDS = (
    ("mxfp4", Quantization(Precision.MXFP4, bits=4.25)),
    ("mxfp8", Quantization(Precision.FP8, bits=8.25)),
    ("nvfp4", Quantization(Precision.NVFP4, bits=4.5)),
    ("w4a8", Quantization(Precision.INT4, bits=4.125, group_size=128)),
    ("w4a16", Quantization(Precision.INT4, bits=4.125, group_size=128)),
    ("int4", Quantization(Precision.INT4, bits=4.125, group_size=128)),
    ("fp8", Quantization(Precision.FP8, bits=8)),
    ("float-quantized", Quantization(Precision.FP8, bits=8)),
    ("int8", Quantization(Precision.INT8, bits=8)),
    ("int-quantized", Quantization(Precision.INT8, bits=8)),
)
"""Words of a format's name, the more specific first."""

_METHODS: Mapping[str, Callable[[ConfigReader], Quantization | None]] = {
    "awq": _grouped_integer,
    "awq_marlin": _grouped_integer,
    "gptq": _grouped_integer,
    "gptq_marlin": _grouped_integer,
    "auto-round": _grouped_integer,
    "fp8": _float8,
    "fbgemm_fp8": _float8,
    "mxfp4": _mxfp4,
    "compressed-tensors": _compressed_tensors,
    "modelopt": _modelopt,
    "modelopt_fp4": _modelopt,
    "quark": _quark,
    "bitsandbytes": _bitsandbytes,
}
