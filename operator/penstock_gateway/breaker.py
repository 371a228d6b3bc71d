"""A circuit breaker: after some failures in a row nothing is sent for a while, then one probe decides."""

from dataclasses import dataclass

__all__ = ["Breaker"]

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0


@dataclass(slots=True)
class Breaker:
    """Counts failures in a row; times are seconds of a clock that never goes back."""

    threshold: int
    failures: int = 0
    _open_until: float = 0.0
    _pause: float = _FIRST_PAUSE_SECONDS
    _probing: bool = False

    def permits(self, now: float) -> bool:
        """Whether something may be sent; while half open, one at a time."""
        return self.failures < self.threshold or (now >= self._open_until and not self._probing)

    def began(self) -> None:
        """Something is sent; when the circuit is half open, it is the probe."""
        if self.failures >= self.threshold:
            self._probing = True

    def succeeded(self) -> None:
        """An answer came: closed."""
        self.failures, self._probing, self._pause = 0, False, _FIRST_PAUSE_SECONDS

    def failed(self, now: float) -> None:
        """One more in a row; what was under way when the circuit opened does not lengthen the pause."""
        self.failures += 1
        if self._probing:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        if self._probing or self.failures == self.threshold:
            self._open_until = now + self._pause
        self._probing = False

    def spared(self) -> None:
        """It ended in a way that says nothing about the upstream."""
        self._probing = False
