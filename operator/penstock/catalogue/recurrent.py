"""Layers that keep a state of fixed size instead of a cache: linear and delta attention, Mamba, short convolutions."""

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.catalogue.config_reader import ConfigReader

__all__ = ["NO_RECURRENCE", "Recurrence", "read_recurrence"]

_STATE_ELEMENT_BYTES = 4
_WINDOW_ELEMENT_BYTES = 2


@dataclass(frozen=True, slots=True)
class Recurrence:
    """How many layers, parameters of one of them, and bytes of state that all of them keep for one sequence."""

    layers: int
    layer_parameters: int
    state_bytes: int


NO_RECURRENCE = Recurrence(layers=0, layer_parameters=0, state_bytes=0)


def read_recurrence(reader: ConfigReader, kinds: Sequence[str], layers: int) -> Recurrence:
    """From config.json; none where the model has only attention."""
    if "mamba" in kinds:
        return _mamba(reader, sum(kind == "mamba" for kind in kinds))
    if "conv" in kinds:
        return _convolution(reader, sum(kind == "conv" for kind in kinds))
    delta = reader.nested("linear_attn_config")
    if delta is not None:
        return _delta(reader, delta)
    if reader.number("linear_num_value_heads", default=0):
        return _gated(reader, _gated_layers(reader, kinds, layers))
    return NO_RECURRENCE


def _gated_layers(reader: ConfigReader, kinds: Sequence[str], layers: int) -> int:
    if kinds:
        return sum(kind == "linear_attention" for kind in kinds)
    return layers - layers // reader.positive("full_attention_interval", default=1)


def _gated(reader: ConfigReader, layers: int) -> Recurrence:
    hidden = reader.positive("hidden_size")
    key_dim, value_dim = reader.positive("linear_key_head_dim"), reader.positive("linear_value_head_dim")
    value_heads = reader.positive("linear_num_value_heads")
    keys, values = reader.positive("linear_num_key_heads") * key_dim, value_heads * value_dim
    kernel = reader.positive("linear_conv_kernel_dim", default=4)
    mixed = 2 * keys + values
    parameters = hidden * mixed + 2 * hidden * values + 2 * hidden * value_heads + kernel * mixed
    state = value_heads * key_dim * value_dim * _STATE_ELEMENT_BYTES
    window = mixed * (kernel - 1) * _WINDOW_ELEMENT_BYTES
    return Recurrence(layers, parameters, layers * (state + window))


def _delta(reader: ConfigReader, delta: ConfigReader) -> Recurrence:
    hidden, head_dim = reader.positive("hidden_size"), delta.positive("head_dim")
    heads, kernel = delta.positive("num_heads"), delta.positive("short_conv_kernel_size", default=4)
    width, layers = heads * head_dim, len(delta.items("kda_layers"))
    parameters = 4 * hidden * width + 2 * (hidden * head_dim + head_dim * width) + hidden * heads + 3 * kernel * width
    state = heads * head_dim * head_dim * _STATE_ELEMENT_BYTES
    window = 3 * width * (kernel - 1) * _WINDOW_ELEMENT_BYTES
    return Recurrence(layers, parameters, layers * (state + window))


def _mamba(reader: ConfigReader, layers: int) -> Recurrence:
    hidden, heads = reader.positive("hidden_size"), reader.positive("mamba_num_heads")
    head_dim, state_size = reader.positive("mamba_head_dim"), reader.positive("ssm_state_size")
    inner, kernel = heads * head_dim, reader.positive("conv_kernel", default=4)
    convolved = inner + 2 * reader.positive("n_groups", default=1) * state_size
    parameters = hidden * (inner + convolved + heads) + inner * hidden + kernel * convolved
    state = heads * head_dim * state_size * _STATE_ELEMENT_BYTES
    window = convolved * (kernel - 1) * _WINDOW_ELEMENT_BYTES
    return Recurrence(layers, parameters, layers * (state + window))


def _convolution(reader: ConfigReader, layers: int) -> Recurrence:
    hidden, kernel = reader.positive("hidden_size"), reader.positive("conv_L_cache", default=3)
    return Recurrence(layers, 4 * hidden * hidden + kernel * hidden, layers * hidden * kernel * _WINDOW_ELEMENT_BYTES)
