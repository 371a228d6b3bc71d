"""What a PromQL expression asks for: series by name, and labels that have to be there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Expr, VectorSelector

__all__ = ["problems", "series_of"]

_VARIABLE = re.compile(r"\$\{?(?!__)\w+\}?")
_INTERVAL = "$__rate_interval"

Labels = frozenset[str]


@dataclass(slots=True)
class _Found:
    """`needs`: groups of labels, and the series of which one must have each of them."""

    series: list[VectorSelector] = field(default_factory=list)
    needs: list[tuple[Labels, list[str]]] = field(default_factory=list)


def series_of(query: str) -> set[str]:
    """The names of the series; ValueError where the query is none."""
    return {str(selector.name) for selector in _look(_parse(query)).series}


def problems(query: str, known: Mapping[str, Labels]) -> list[str]:
    """Series that nobody exports, and labels that they do not have."""
    found = _look(_parse(query))
    unknown = sorted({str(selector.name) for selector in found.series} - known.keys())
    if unknown:
        return [f"nobody exports {name}" for name in unknown]
    return [*_unmatched(found.series, known), *_ungrouped(found.needs, known)]


def _parse(query: str) -> Expr:
    """With what Grafana would put for its variables."""
    expression: Expr = promql_parser.parse(_VARIABLE.sub("x", query.replace(_INTERVAL, "5m")))
    return expression


def _unmatched(series: Iterable[VectorSelector], known: Mapping[str, Labels]) -> Iterator[str]:
    for selector in series:
        for matcher in selector.matchers.matchers:
            if matcher.name not in known[str(selector.name)]:
                yield f"{selector.name} has no label {matcher.name}"


def _ungrouped(needs: Iterable[tuple[Labels, list[str]]], known: Mapping[str, Labels]) -> Iterator[str]:
    for labels, names in needs:
        there = frozenset[str]().union(*(known[name] for name in names))
        yield from (f"none of {', '.join(names)} has the label {label}" for label in sorted(labels - there))


def _look(expression: Expr) -> _Found:
    found = _Found()

    def visit(node: Expr) -> bool:
        match node:
            case VectorSelector():
                found.series.append(node)
            case AggregateExpr() if node.modifier is not None:
                found.needs.append((frozenset(node.modifier.labels), _names(node.expr)))
            case BinaryExpr() if node.modifier is not None and node.modifier.matching is not None:
                labels = frozenset(node.modifier.matching.labels)
                found.needs.extend((labels, _names(side)) for side in (node.lhs, node.rhs))
        return True

    promql_parser.walk(expression, pre_visit=visit)
    return found


def _names(expression: Expr) -> list[str]:
    return sorted({str(selector.name) for selector in _look(expression).series})
