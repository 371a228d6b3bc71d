"""What a checkpoint is stored as and what runs it: the enums that every room shares."""

from enum import StrEnum

__all__ = ["EngineName", "Precision"]


class EngineName(StrEnum):
    """An inference engine that Penstock renders."""

    VLLM = "vLLM"
    SGLANG = "SGLang"


class Precision(StrEnum):
    """The number format of a checkpoint's weights."""

    BF16 = "BF16"
    FP16 = "FP16"
    FP8 = "FP8"
    INT8 = "INT8"
    INT4 = "INT4"
    MXFP4 = "MXFP4"
    NVFP4 = "NVFP4"
