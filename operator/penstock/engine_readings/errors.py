"""Why an engine's own word is not there.

EngineReadingError (penstock.errors)
  + EngineUnreachable    nobody answers there, not in time, or with an error
  + MalformedMetrics     the answer is none of this engine's metrics, or larger than is read
"""

from penstock.errors import EngineReadingError

__all__ = ["EngineUnreachable", "MalformedMetrics"]


class EngineUnreachable(EngineReadingError):
    """Nobody answers there, not in time, or with an error."""


class MalformedMetrics(EngineReadingError):
    """The answer is none of this engine's metrics, or larger than is read."""
