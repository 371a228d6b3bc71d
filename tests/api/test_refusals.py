"""Refusals: one line that names the field, the value, the reason and the cure."""

import pytest

from penstock.api.refusals import Refusal, Refused
from penstock.errors import PenstockError

_REFUSAL = Refusal("spec.replicas", "-1", "must be at least 0", "Raise it")


def test_a_refusal_is_one_line() -> None:
    """Field in back-quotes, value in quotes, reason, cure."""
    assert str(_REFUSAL) == "`spec.replicas` '-1': must be at least 0. Raise it."


def test_a_long_value_is_cut() -> None:
    """A message stays readable whatever somebody pasted."""
    line = str(Refusal("spec.model", "x" * 5000, "must be shorter", "Shorten it"))
    assert len(line) < 160
    assert f"'{'x' * 80}...'" in line


def test_refused_carries_them_all() -> None:
    """In order, and it is one of our errors."""
    with pytest.raises(PenstockError, match=r"`spec\.replicas`.*`spec\.model`") as caught:
        raise Refused([_REFUSAL, Refusal("spec.model", "", "is required", "Add it")])
    assert isinstance(caught.value, Refused)
    assert [refusal.field for refusal in caught.value.refusals] == ["spec.replicas", "spec.model"]
