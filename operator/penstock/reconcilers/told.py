"""A table as it is told of: what the statuses of thousands of resources read, put in order once for each table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from penstock.routing.build import Built
from penstock.routing.explain import RouteExplanation, explain_all
from penstock.routing.problems import Kind, Problem
from penstock_policy.table import Consumer

__all__ = ["Told"]


@dataclass(frozen=True, slots=True)
class Told:
    """Everything by `namespace/name`."""

    built: Built
    explained: Mapping[str, RouteExplanation]
    problems: Mapping[tuple[Kind, str], tuple[Problem, ...]]
    callers: Mapping[str, Consumer]

    @classmethod
    def of(cls, built: Built) -> Self:
        """Long where there is much in the table: for a thread."""
        problems: dict[tuple[Kind, str], list[Problem]] = {}
        for problem in built.problems:
            problems.setdefault((problem.kind, problem.name), []).append(problem)
        return cls(
            built=built,
            explained=explain_all(built),
            problems={key: tuple(found) for key, found in problems.items()},
            callers={consumer.name: consumer for consumer in built.table.consumers},
        )
