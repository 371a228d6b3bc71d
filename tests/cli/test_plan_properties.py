"""Whatever stands in the files, the planning commands answer: with 0 or 2, and with a sentence, never a traceback."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from builders.fleet_files import DEPLOYMENT, NODE, POOL
from penstock.cli.current import read_current
from penstock.cli.explain import explain
from penstock.cli.plan import plan
from penstock.cli.refusing import InputRefused

pytestmark = pytest.mark.property

WORDS = st.sampled_from(["", "h100", "team", "spec", "nvidia.com/gpu", "8", "-1", "abc", "H100-SXM-80GB", "\u2603"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**13), 10**13) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
GOOD = (POOL, DEPLOYMENT, NODE)


def paths(document: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every place of a document that something else may be put at."""
    below = (
        [path for key, value in document.items() for path in paths(value, (*at, key))]
        if isinstance(document, dict)
        else []
    )
    return [at, *below] if at else below


def replaced(document: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    return {**document, path[0]: replaced(document[path[0]], path[1:], value)}


@st.composite
def fleets(draw: st.DrawFn) -> list[Any]:
    """Good documents, one of them with anything in any place; or anything at all."""
    spoilt = draw(st.sampled_from(GOOD))
    changed = replaced(spoilt, draw(st.sampled_from(paths(spoilt))), draw(VALUES))
    others = [each for each in GOOD if each is not spoilt]
    return draw(st.permutations([changed, *others, *draw(st.lists(VALUES, max_size=1))]))


@given(fleets(), st.sampled_from([(plan, ()), (plan, ("-o", "json")), (explain, ("md/team/chat",))]))
def test_every_file_is_answered(documents: list[Any], asked: tuple[Any, tuple[str, ...]]) -> None:
    command, words = asked
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fleet.yaml"
        # JSON, list by list, is YAML as well, and is written as fast as it is read.
        file.write_text(json.dumps({"kind": "List", "items": documents}))
        result = CliRunner(env={"COLUMNS": "80"}).invoke(command, [*words, "-f", str(file)])
    assert result.exit_code in {0, 2}, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 0 or result.output


@given(VALUES | st.fixed_dictionaries({"format": st.just(1), "deployments": st.lists(VALUES, max_size=2)}))
def test_everything_to_compare_with_is_answered(content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder) / "current"
        current.write_text(json.dumps(content))
        try:
            found, told = read_current(current), ""
        except InputRefused as refused:
            found, told = {}, refused.message
    assert bool(told) is ("kubectl get modeldeployments" in told)
    assert all(footprint.replicas > 0 for footprint in found.values())
