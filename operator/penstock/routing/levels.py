"""Levels of sensitivity as positions, read so that a name which nobody knows, or which is there twice, admits less."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Levels"]


@dataclass(frozen=True, slots=True)
class Levels:
    """A gateway's levels, the lowest first; never empty."""

    names: tuple[str, ...]

    @property
    def told(self) -> str:
        """The names for a message."""
        return ", ".join(self.names)

    def clearance(self, name: str | None, *, default: int) -> int:
        """The highest level that may reach a backend: `default` where none is named, the lowest for an unknown one."""
        if name is None:
            return default
        return self.names.index(name) if name in self.names else 0

    def floor(self, name: str | None) -> int:
        """The least level of a Consumer's requests: the lowest where none is named, the highest for an unknown name."""
        if name is None:
            return 0
        return max(self._positions(name), default=self.highest)

    def all_of(self, names: Iterable[str]) -> frozenset[int]:
        """The positions of those that are known."""
        return frozenset(position for name in names for position in self._positions(name))

    @property
    def highest(self) -> int:
        """The position of the highest."""
        return len(self.names) - 1

    def _positions(self, name: str) -> Sequence[int]:
        return [position for position, each in enumerate(self.names) if each == name]
