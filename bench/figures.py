"""One figure, one JSON line."""

import json
import sys

__all__ = ["figure", "progress"]


def figure(name: str, value: float, unit: str, **details: object) -> None:
    """Print a measured value to standard output."""
    print(json.dumps({"name": name, "value": round(value, 6), "unit": unit, **details}), flush=True)


def progress(text: str) -> None:
    """Say what goes on, on standard error."""
    print(f"... {text}", file=sys.stderr, flush=True)
