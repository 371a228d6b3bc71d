"""What lost to a choice that stands: worked out when somebody asks, because of most choices nobody does."""

from collections.abc import Callable, Sequence
from typing import overload

from penstock.planner.plan import Rejection

__all__ = ["UnaskedRejections"]


class UnaskedRejections(Sequence[Rejection]):
    """The rejections that `work_out` gives, as a tuple of them would be; it is called once at most per reader."""

    __slots__ = ("_known", "_work_out")

    def __init__(self, work_out: Callable[[], tuple[Rejection, ...]]) -> None:
        """`work_out` is pure: what it gives does not depend on when it is asked."""
        self._work_out = work_out
        self._known: tuple[Rejection, ...] | None = None

    @property
    def all(self) -> tuple[Rejection, ...]:
        """Every rejection."""
        if self._known is None:
            self._known = self._work_out()
        return self._known

    @overload
    def __getitem__(self, index: int) -> Rejection: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Rejection, ...]: ...
    def __getitem__(self, index: int | slice) -> Rejection | tuple[Rejection, ...]:
        """As of a tuple."""
        return self.all[index]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.all)

    def __eq__(self, other: object) -> bool:
        """Equal to whatever says the same."""
        if self is other:
            return True
        if isinstance(other, UnaskedRejections):
            return self.all == other.all
        return self.all == other

    def __hash__(self) -> int:
        """That of the tuple."""
        return hash(self.all)

    def __repr__(self) -> str:
        """That of the tuple."""
        return repr(self.all)
