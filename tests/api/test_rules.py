"""Rules between fields, as our own validation holds them; tests/contract/test_crds.py holds CEL to the same cases."""

from collections.abc import Iterator

import pytest

from builders.rule_cases import RULE_CASES, RuleCase
from penstock.api.kinds import KINDS
from penstock.api.model_tree import visit_models
from penstock.api.refusals import Refusal, Refused
from penstock.api.rules import Rule
from penstock.api.validation import parse


def _all_rules() -> Iterator[Rule]:
    for kind in KINDS:
        for _, model in visit_models(kind.model):
            yield from model.RULES


def _refusals(case: RuleCase) -> tuple[Refusal, ...]:
    try:
        parse(case.manifest, strict=True)
    except Refused as refused:
        return refused.refusals
    return ()


@pytest.mark.parametrize("case", RULE_CASES.values(), ids=RULE_CASES)
def test_each_case_is_blamed_on_its_field(case: RuleCase) -> None:
    """One refusal at the field that is to blame, or none."""
    assert [refusal.field for refusal in _refusals(case)] == ([case.blamed] if case.blamed else [])


def test_every_rule_has_a_case_that_breaks_it() -> None:
    """A rule without a case could say anything."""
    broken = {refusal.reason for case in RULE_CASES.values() for refusal in _refusals(case)}
    assert {rule.reason for rule in _all_rules() if rule.holds is not None} - broken == set()


def test_every_message_teaches() -> None:
    """It says in the words of the conventions what must hold, and then what to do."""
    for rule in _all_rules():
        assert rule.reason.startswith(("must ", "may not ", "is required ", "is a variable ")), rule.reason
        assert rule.cure, rule.reason
        assert len(rule.message) <= 400
        assert "\n" not in rule.message
        assert "\n" not in rule.cel
