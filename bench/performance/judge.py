"""An independent judge: AIConfigurator's estimate for the same row, where it is installed. Never needed to run."""

import re
import shutil
import subprocess
from dataclasses import dataclass

from bench.performance.rows import Row

__all__ = ["Estimate", "arguments_for", "command", "estimate", "read_estimate"]

_SYSTEMS = {
    "H100-SXM-80GB": "h100_sxm",
    "H200-SXM-141GB": "h200_sxm",
    "B200-SXM-180GB": "b200_sxm",
    "B300-SXM-288GB": "b300_sxm",
    "GB200-192GB": "gb200",
    "GB300-288GB": "gb300",
    "A100-SXM-80GB": "a100_sxm",
    "L40S-48GB": "l40s",
}
_BACKENDS = {"vLLM": "vllm", "SGLang": "sglang"}
_SECONDS = 120
_TIMES = {name: re.compile(rf"{name}:\s+([0-9.,]+) ms") for name in ("TTFT", "TPOT")}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the judge says, in seconds."""

    ttft_seconds: float
    tpot_seconds: float


def command() -> str | None:
    """The judge's program, None where it is not installed (`pip install aiconfigurator`)."""
    return shutil.which("aiconfigurator")


def arguments_for(row: Row) -> list[str] | None:
    """The judge's options for a row; None for what it does not cover (AMD, cards, other engines)."""
    system, backend = _SYSTEMS.get(row.accelerator.name), _BACKENDS.get(row.engine)
    if system is None or backend is None:
        return None
    layout = row.layout
    group = layout.tensor_parallel // layout.attention_ranks
    sizes = {
        "model-path": row.facts.model,
        "system": system,
        "backend": backend,
        "isl": row.traffic.prompt_tokens,
        "osl": row.traffic.output_tokens,
        "batch-size": max(1, row.concurrency // layout.attention_ranks),
        "tp-size": group,
        "attention-dp-size": layout.attention_ranks,
    }
    if row.facts.experts:
        spread = layout.tensor_parallel if layout.expert_parallel else 1
        sizes |= {"moe-tp-size": layout.tensor_parallel // spread, "moe-ep-size": spread}
    return [part for name, value in sizes.items() for part in (f"--{name}", str(value))]


def estimate(program: str, row: Row) -> Estimate | None:
    """One run of the judge; None where it cannot do the row."""
    options = arguments_for(row)
    if options is None:
        return None
    try:
        done = subprocess.run(
            [program, "cli", "estimate", "--no-color", *options],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return read_estimate(done.stdout)


def read_estimate(text: str) -> Estimate | None:
    """The two times of its report."""
    found = {name: pattern.search(text) for name, pattern in _TIMES.items()}
    first, each = found["TTFT"], found["TPOT"]
    if first is None or each is None:
        return None
    return Estimate(float(first[1].replace(",", "")) / 1000, float(each[1].replace(",", "")) / 1000)
