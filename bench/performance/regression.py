"""Robust regression of positive quantities: damped Gauss-Newton on logarithms, with a prior for each parameter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Parameter", "fit", "shrunken_centre"]

Array = NDArray[np.float64]

_STEP = 1e-4
_TAIL = 3.0
_WIDTH = 0.15
"""Residuals of logarithms well beyond this count little: speculative decoding and other unlabelled differences."""
_ROUNDS = 30
_ENOUGH = 1e-3
_MOST_DAMPING = 1e8


@dataclass(frozen=True, slots=True)
class Parameter:
    """A positive number to be fitted: its expected value, and how far in logarithms it may well lie from that."""

    name: str
    expected: float
    deviation: float


def fit(
    predict: Callable[[dict[str, float]], Array], measured: Array, parameters: tuple[Parameter, ...], *, scale: float
) -> dict[str, float]:
    """Values of the parameters that make `predict` meet `measured`; residuals beyond `scale` are weighed down."""
    expected = np.log([parameter.expected for parameter in parameters])
    deviation = np.array([parameter.deviation for parameter in parameters])
    target = np.log(measured)

    def values(point: Array) -> dict[str, float]:
        return {parameter.name: float(np.exp(x)) for parameter, x in zip(parameters, point, strict=True)}

    def residuals(point: Array) -> Array:
        return (np.log(predict(values(point))) - target) / scale

    def cost(point: Array) -> float:
        spread = float(np.sum(np.log1p(residuals(point) ** 2 / _TAIL)) * _TAIL)
        return spread + float(np.sum(((point - expected) / deviation) ** 2))

    point, damping, best = expected.copy(), 1.0, cost(expected)
    for _ in range(_ROUNDS):
        now = residuals(point)
        slopes = np.stack([(residuals(point + _STEP * unit) - now) / _STEP for unit in np.eye(len(point))], axis=1)
        weights = 1 / (1 + now**2 / _TAIL)
        curvature = slopes.T @ (weights[:, None] * slopes) + np.diag(deviation**-2.0)
        gradient = slopes.T @ (weights * now) + (point - expected) / deviation**2
        moved, damping, reached = _descend(cost, point, best, _Slope(curvature, gradient, damping))
        gained, point, best = best - reached, moved, reached
        if gained < _ENOUGH:
            break
    return values(point)


@dataclass(frozen=True, slots=True)
class _Slope:
    """The cost around a point, to second order, and how much to distrust that."""

    curvature: Array
    gradient: Array
    damping: float


def _descend(cost: Callable[[Array], float], point: Array, best: float, slope: _Slope) -> tuple[Array, float, float]:
    """The first damped step that lowers the cost, with the damping for the next one; no step where none does."""
    damping = slope.damping
    while damping < _MOST_DAMPING:
        damped = slope.curvature + damping * np.diag(np.diag(slope.curvature))
        tried = point - np.linalg.solve(damped, slope.gradient)
        reached = cost(tried)
        if reached < best:
            return tried, max(damping / 5, 1e-6), reached
        damping *= 4
    return point, damping, best


def shrunken_centre(residuals: Array, *, prior_rows: float) -> float:
    """A robust mean that needs rows to leave zero: `prior_rows` rows of zero stand beside the measured ones."""
    centre = float(np.median(residuals))
    weights = 1 / (1 + ((residuals - centre) / _WIDTH) ** 2)
    return float(np.sum(weights * residuals) / (np.sum(weights) + prior_rows))
