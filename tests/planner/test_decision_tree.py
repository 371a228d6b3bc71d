"""A decision as a tree: where rows hang, what is on the way to the choice, and what came near."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from builders.fleet import nodes, place_one, pool, tenant, variants
from penstock.api.formats import Precision
from penstock.planner.decision_tree import Branch, compressed, decision_tree, nearest, runner_up
from penstock.planner.explain import Row, table
from penstock.planner.plan import RejectionReason

CHOSEN = Row(True, "a", "vLLM", "FP8", 2, "5.00 USD", "Chosen", "here")
LOST = replace(CHOSEN, chosen=False, price_per_replica_hour="")


def leaves(branch: Branch) -> list[Branch]:
    below = [leaf for each in branch.branches for leaf in leaves(each)]
    return [branch, *below] if branch.reason else below


def test_pools_hold_precisions_engines_and_layouts_and_the_taken_way_comes_first() -> None:
    rows = (
        replace(LOST, pool="b", precision="", engine="", tensor_parallel=0, reason="OutsideJurisdiction"),
        replace(LOST, tensor_parallel=1, reason="WeightsDoNotFit"),
        CHOSEN,
    )
    first, second = decision_tree(rows)
    assert (first.label, first.chosen, second.label, second.reason) == ("a", True, "b", "OutsideJurisdiction")
    (precision,) = first.branches
    (engine,) = precision.branches
    assert (precision.label, engine.label) == ("FP8", "vLLM")
    assert [(each.label, each.chosen) for each in engine.branches] == [("TP2", True), ("TP1", False)]


def test_a_row_about_a_whole_format_is_a_leaf_beside_its_sizes() -> None:
    whole = replace(LOST, engine="", tensor_parallel=0, reason="PrecisionUnsupported")
    (only,) = decision_tree((whole, LOST))
    assert [each.reason for each in only.branches] == ["PrecisionUnsupported", ""]


def test_two_ways_of_one_size_are_two_leaves() -> None:
    pipeline = replace(LOST, layout="TP2xPP4", reason="NotPreferred")
    ranks = replace(LOST, tensor_parallel=8, layout="TP8 DP8", reason="NotPreferred")
    (only,) = decision_tree((CHOSEN, pipeline, ranks))
    assert [leaf.label for leaf in leaves(only)] == ["TP2", "TP2xPP4", "TP8 DP8"]
    best = runner_up((CHOSEN, pipeline))
    assert best is not None
    assert best.label == "FP8 vLLM TP2xPP4"


def test_branches_that_do_not_fork_become_one_step() -> None:
    (only,) = decision_tree((CHOSEN,))
    assert compressed(only) == Branch("a FP8 vLLM TP2", True, "Chosen", "here")


def test_what_names_no_pool_is_told_of_all() -> None:
    (only,) = decision_tree((replace(LOST, pool="", precision="", tensor_parallel=0, reason="NotPreferred"),))
    assert compressed(only).label == "whatever the pool vLLM"


def test_the_nearest_is_of_pools_where_nothing_fits_and_the_next_best_of_those_where_it_does() -> None:
    dearer = replace(LOST, pool="b", reason="CostsMore")
    small = replace(LOST, pool="b", tensor_parallel=1, reason="WeightsDoNotFit")
    abroad = replace(LOST, pool="c", precision="", engine="", tensor_parallel=0, reason="OutsideJurisdiction")
    rows = (CHOSEN, small, dearer, abroad)
    assert [(each.pool, each.reason) for each in nearest(rows)] == [("c", "OutsideJurisdiction")]
    best = runner_up(rows)
    assert best is not None
    assert (best.pool, best.label, best.reason) == ("b", "FP8 vLLM TP2", "CostsMore")


def test_a_reason_of_another_release_does_no_harm() -> None:
    assert nearest((replace(LOST, reason="NeverHeardOf"),)) == ()


def test_a_real_decision_reads_as_a_tree() -> None:
    spec = {"model": "org/large", "variants": variants(Precision.FP8)}
    pools = [pool("small", on=nodes("small", 1, gpus=1)), pool("big", price="9.00")]
    rows = table(place_one(pools, tenant(spec=spec)))
    tree = decision_tree(rows)
    assert tree[0].chosen
    assert len([leaf for each in tree for leaf in leaves(each)]) == len(rows)


REASONS = st.sampled_from([*RejectionReason, "Chosen", "Else"])
ROWS = st.builds(
    Row,
    chosen=st.booleans(),
    pool=st.sampled_from(["", "a", "b"]),
    engine=st.sampled_from(["", "vLLM", "SGLang"]),
    precision=st.sampled_from(["", "FP8", "BF16"]),
    tensor_parallel=st.sampled_from([0, 1, 2]),
    price_per_replica_hour=st.just(""),
    reason=REASONS.map(str),
    message=st.sampled_from(["", "why"]),
)


@given(st.lists(ROWS, max_size=12))
def test_no_row_is_lost_and_the_taken_way_is_marked_to_the_root(rows: list[Row]) -> None:
    tree = decision_tree(rows)
    found = [leaf for each in tree for leaf in leaves(each)]
    assert sorted((leaf.reason, leaf.message, leaf.chosen) for leaf in found) == sorted(
        (row.reason, row.message, row.chosen) for row in rows
    )
    assert all(branch.chosen == any(leaf.chosen for leaf in leaves(branch)) for branch in tree)
    assert sum(len(leaves(compressed(branch))) for branch in tree) == len(rows)
