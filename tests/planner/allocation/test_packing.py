"""Room by inequalities against real packing, tried out replica by replica."""

from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.allocations import supply
from penstock.planner.allocation.packing import Room, rooms
from penstock.planner.allocation.problem import Supply

over_many = settings(deadline=None)


def admitted(found: tuple[Room, ...], sizes: Counter[int]) -> bool:
    return all(sum(room.takes.get(size, 0) * count for size, count in sizes.items()) <= room.slots for room in found)


def packs(pool: Supply, sizes: Counter[int]) -> bool:
    """Whether the replicas fit, by trying every node for each."""
    whole = sum(-(-size // pool.node_gpus) * count for size, count in sizes.items() if size >= pool.node_gpus)
    free = sorted((gpus for gpus in pool.free if gpus > 0), reverse=True)
    if whole > sum(gpus == pool.node_gpus for gpus in free):
        return False
    small = sorted((size for size in sizes.elements() if size < pool.node_gpus), reverse=True)
    return place(tuple(sorted(free[whole:])), tuple(small))


@cache
def place(free: tuple[int, ...], sizes: tuple[int, ...]) -> bool:
    if not sizes:
        return True
    for node, gpus in enumerate(free):
        if gpus >= sizes[0] and (node == 0 or free[node - 1] != gpus):
            left = tuple(sorted((*free[:node], gpus - sizes[0], *free[node + 1 :])))
            if place(left, sizes[1:]):
                return True
    return False


CHAINS = ((8, (1, 2, 4, 8, 16)), (8, (1, 3, 8)), (6, (1, 2, 6, 12)), (4, (1, 2, 4, 8)), (12, (3, 6, 12)))


@given(st.sampled_from(CHAINS), st.data())
@over_many
def test_sizes_that_divide_each_other_are_admitted_exactly_where_they_pack(
    shape: tuple[int, tuple[int, ...]], data: st.DataObject
) -> None:
    node_gpus, sizes = shape
    pool = Supply("a", tuple(data.draw(st.lists(st.integers(-1, node_gpus), max_size=4))), node_gpus)
    asked = Counter(data.draw(st.lists(st.sampled_from(sizes), max_size=6)))
    assert admitted(rooms(pool, sizes), asked) == packs(pool, asked)


@given(st.integers(2, 9), st.data())
@over_many
def test_other_sizes_are_never_admitted_where_they_do_not_pack(node_gpus: int, data: st.DataObject) -> None:
    pool = Supply("a", tuple(data.draw(st.lists(st.integers(0, node_gpus), max_size=4))), node_gpus)
    asked = Counter(data.draw(st.lists(st.integers(1, 2 * node_gpus), max_size=5)))
    if admitted(rooms(pool, asked.keys()), asked):
        assert packs(pool, asked)


@pytest.mark.parametrize("sizes", [(1,), (8,), (2, 8), (3, 5)])
def test_an_unpacked_supply_is_one_number(sizes: tuple[int, ...]) -> None:
    (room,) = rooms(supply("a", 5, 6, unpacked=True), sizes)
    assert (room.takes, room.slots) == ({size: size for size in sizes}, 11)
