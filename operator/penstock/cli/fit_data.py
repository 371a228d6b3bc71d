"""What `penstock fit` found as plain data; keys, units and money as in `penstock plan -o json`."""

from collections.abc import Iterable
from typing import Any

from penstock.catalogue.models import ModelFacts
from penstock.cli.plan_report import expected_data, memory_data
from penstock.planner.survey import SurveyQuestion, SurveyRow

__all__ = ["data_of"]

_FORMAT = 1
_DIGITS = 3


def data_of(question: SurveyQuestion, rows: Iterable[SurveyRow]) -> dict[str, Any]:
    """The question as it was understood, and a row per GPU type, checkpoint and layout."""
    load = question.load
    return {
        "format": _FORMAT,
        "checkpoints": [_checkpoint(facts) for facts in question.checkpoints],
        "load": {
            "promptTokens": load.prompt_tokens,
            "outputTokens": load.output_tokens,
            "maxContextTokens": load.max_context_tokens,
            "concurrency": load.total_concurrency,
            "requestsPerSecond": load.total_requests_per_second,
        },
        "rows": [_row(row) for row in rows],
    }


def _checkpoint(facts: ModelFacts) -> dict[str, Any]:
    return {
        "model": facts.model,
        "precision": str(facts.precision),
        "weightsBytes": facts.weights_bytes,
        "parameters": facts.parameters,
        "activeParameters": facts.active_parameters,
        "maxContextTokens": facts.max_context_tokens,
        "source": facts.source,
    }


def _row(row: SurveyRow) -> dict[str, Any]:
    """Figures are null where it does not fit; `reason` is empty where it does."""
    known = {
        "model": row.model,
        "precision": str(row.precision),
        "accelerator": row.accelerator,
        "tensorParallel": row.tensor_parallel,
        "pipelineParallel": row.pipeline_parallel,
        "attentionRanks": row.attention_ranks,
        "expertParallel": row.expert_parallel,
        "layout": row.layout,
        "gpusPerReplica": row.gpus,
        "engine": str(row.engine),
        "engineVersion": row.engine_version,
        "fits": row.fits,
        "best": row.best,
        "reason": str(row.reason),
        "message": row.message,
        "unvalidated": row.unvalidated,
    }
    return known | _figures(row)


def _figures(row: SurveyRow) -> dict[str, Any]:
    price, memory = row.token_price, row.memory
    return {
        "memoryPerGPU": memory_data(memory) if memory else None,
        "limit": str(row.limit) if row.limit else None,
        "kvTokens": row.kv_tokens if memory else None,
        "longestContextTokens": row.longest_context_tokens if memory else None,
        "mostConcurrent": row.most_concurrent if memory else None,
        "requestsPerSecond": round(row.requests_per_second, _DIGITS) if memory else None,
        "expected": expected_data(row.expected),
        "replicas": row.replicas if memory else None,
        "pricePerHour": str(row.price_per_hour) if row.price_per_hour else None,
        "pricePerMillionTokens": str(price.all_tokens) if price else None,
        "pricePerMillionOutputTokens": str(price.output_tokens) if price else None,
    }
