"""How a plan names the way in which a replica is cut."""

import pytest

from penstock.planner.fitting import Way
from penstock.planner.plan import layout_label

LABELS: dict[str, Way] = {
    "TP1": Way(1),
    "TP8": Way(8),
    "TP2xPP4": Way(2, pipeline_parallel=4),
    "TP8 EP8": Way(8, spread_experts=True),
    "TP8 DP8": Way(8, attention_ranks=8, spread_experts=True),
    "TP8xPP2 EP8": Way(8, pipeline_parallel=2, spread_experts=True),
}


@pytest.mark.parametrize(("label", "way"), LABELS.items(), ids=LABELS)
def test_a_way_has_a_name_of_its_own(label: str, way: Way) -> None:
    assert way.label == label
    assert label == layout_label(
        way.tensor_parallel, way.pipeline_parallel, way.attention_ranks, whole_experts=way.spread_experts
    )
