"""A known model in a number format for which the catalogue has no checkpoint: its architecture, sized by formula."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock.api.formats import Precision
from penstock.catalogue.model_facts import ConfigFacts, ModelFacts, facts_from_config
from penstock.catalogue.models import built_in, catalogue_config, entry_of, same_architecture
from penstock.catalogue.spelling import StoredFormat

__all__ = ["requantised"]

_UNQUANTISED = frozenset({Precision.BF16, Precision.FP16})


def requantised(model: str, stored: StoredFormat) -> ModelFacts:
    """The facts of a checkpoint of the catalogue as if it were stored in another format; `source` says `formula`.

    The format's details (block or group size, what stays 16-bit) are those of a checkpoint of the same architecture
    where there is one, else the usual ones.
    """
    precision, entry = stored.precisions[0], entry_of(model)
    config = dict(catalogue_config(model))
    config.pop("quantization_config", None)
    if precision not in _UNQUANTISED:
        config["quantization_config"] = _section(model, stored)
    known = ConfigFacts(
        model=model,
        config=config,
        parameters=entry.parameters,
        active_parameters=entry.active_parameters,
        source="formula",
    )
    return replace(facts_from_config(known), precision=precision)


def _section(model: str, stored: StoredFormat) -> Mapping[str, Any]:
    if not stored.is_micro_scaled:
        for other in same_architecture(model):
            facts = built_in(other)
            if facts is not None and facts.precision is stored.precisions[0]:
                section: Mapping[str, Any] = catalogue_config(other)["quantization_config"]
                return section
    return _USUAL["MXFP8" if stored.is_micro_scaled else stored.precisions[0]]


_USUAL: Mapping[str, Mapping[str, Any]] = {
    "MXFP8": {"quant_method": "mxfp8", "quant_algo": "MXFP8"},
    Precision.FP8: {"quant_method": "compressed-tensors", "format": "float-quantized"},
    Precision.INT8: {"quant_method": "compressed-tensors", "format": "int-quantized"},
    Precision.INT4: {"quant_method": "awq", "bits": 4, "group_size": 128},
    Precision.MXFP4: {"quant_method": "mxfp4", "modules_to_not_convert": ["*.self_attn"]},
    Precision.NVFP4: {"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": ["*.self_attn.*"]},
}
"""What exporters write by default; attention is what 4-bit float exports leave alone."""
