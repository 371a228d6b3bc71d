"""Sizing a model of which only the parameters are known."""

import pytest

from penstock.api.formats import Precision
from penstock.catalogue.totals import Totals, facts_from_totals

BILLION = 10**9
BYTES = {Precision.BF16: 2.0, Precision.FP8: 1.04, Precision.INT8: 1.04, Precision.NVFP4: 0.62, Precision.INT4: 0.575}


@pytest.mark.parametrize(("precision", "each"), BYTES.items())
def test_weights_follow_from_the_format(precision: Precision, each: float) -> None:
    facts = facts_from_totals(Totals(model="acme/m", precision=precision, parameters=70 * BILLION))
    assert facts.weights_bytes == pytest.approx(70 * BILLION * each, rel=0.02)
    assert (facts.loaded_bytes, facts.precision, facts.source) == (facts.weights_bytes, precision, "totals")


def test_a_stated_size_wins() -> None:
    totals = Totals(model="acme/m", precision=Precision.FP8, parameters=70 * BILLION, weights_bytes=81 * BILLION)
    assert facts_from_totals(totals).weights_bytes == 81 * BILLION


def test_the_shape_is_borrowed_from_a_model_of_that_size_and_kind() -> None:
    dense = facts_from_totals(Totals(model="acme/d", precision=Precision.BF16, parameters=72 * BILLION))
    sparse = facts_from_totals(
        Totals(model="acme/s", precision=Precision.BF16, parameters=230 * BILLION, active_parameters=20 * BILLION)
    )
    assert (dense.experts, dense.layers) == (0, 80)
    assert sparse.experts > 8
    assert sparse.active_parameters == 20 * BILLION
    for facts in (dense, sparse):
        assert (facts.query_heads, facts.kv_heads) == (64, 8)
        assert facts.full_attention_layers == facts.layers


def test_more_active_than_all_parameters_is_a_dense_model() -> None:
    totals = Totals(model="acme/m", precision=Precision.BF16, parameters=BILLION, active_parameters=5 * BILLION)
    assert facts_from_totals(totals).active_parameters == BILLION
    assert facts_from_totals(totals).experts == 0
