"""Which pods go: the order of a ReplicaSet, and the same ones in every pass."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.live import gpu_pod
from penstock.reconcilers.leaving import MARKS, NO_MARKS, surplus
from penstock.reconcilers.stored import PodRecord, parse_time, slim_pod


def pod(name: str, *, day: int = 1, **more: object) -> PodRecord:
    """A pod that is ready on a node; made on that day."""
    made = slim_pod(gpu_pod(name, node="a"))
    standing = {"ready": True, "created": parse_time(f"2026-11-{day:02d}T00:00:00Z"), **more}
    return replace(made, **standing)  # type: ignore[arg-type] # fields by their names


CASES: dict[str, tuple[tuple[PodRecord, ...], int, list[str]]] = {
    "none is too many": ((pod("a"), pod("b")), 2, []),
    "fewer than are kept": ((pod("a"),), 3, []),
    "the youngest": ((pod("a", day=2), pod("b", day=3), pod("c", day=1)), 2, ["b"]),
    "marked before": ((pod("a", day=1, leaving=True), pod("b", day=3)), 1, ["a"]),
    "not ready comes before marked": ((pod("a", leaving=True), pod("b", ready=False)), 1, ["b"]),
    "without a node comes first": ((pod("a", ready=False), pod("b", ready=False, node="")), 1, ["b"]),
    "of one age by name": ((pod("b"), pod("a"), pod("c")), 1, ["a", "b"]),
    "what ends already is not counted": ((pod("a", terminating=True), pod("b", finished=True), pod("c")), 1, []),
    "all of them": ((pod("a"), pod("b")), 0, ["a", "b"]),
}


@pytest.mark.parametrize(("pods", "keep", "want"), CASES.values(), ids=CASES)
def test_surplus(pods: tuple[PodRecord, ...], keep: int, want: list[str]) -> None:
    """Each case by name."""
    assert [each.name for each in surplus(pods, keep)] == want


@pytest.mark.property
@given(st.integers(0, 5), st.integers(0, 2**32))
def test_the_same_ones_whatever_the_order_and_once_they_are_marked(keep: int, seed: int) -> None:
    """Marking the chosen ones chooses them again."""
    pods = [pod(name, day=day, ready=day != 3) for name, day in zip("abcde", (4, 2, 3, 1, 2), strict=True)]
    chosen = {each.name for each in surplus(pods, keep)}
    marked = [replace(each, leaving=each.name in chosen) for each in pods]
    Random(seed).shuffle(marked)
    assert {each.name for each in surplus(marked, keep)} == chosen
    assert len(chosen) == 5 - keep


def test_the_marks_come_off_again() -> None:
    """A merge patch takes away what is null."""
    assert set(NO_MARKS) == set(MARKS)
    assert set(NO_MARKS.values()) == {None}
