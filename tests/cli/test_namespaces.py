"""`--watch-namespaces` and `--secret-namespaces`: what they take, and how they refuse."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from penstock.cli.namespaces import NamespaceList
from penstock.cli.operator import operator

READ: dict[str, tuple[str, ...]] = {
    "": (),
    "a": ("a",),
    "a,b": ("a", "b"),
    " b , a ,": ("b", "a"),
    "a,b,a": ("a", "b"),
    "1-2": ("1-2",),
    "x" * 63: ("x" * 63,),
}


@pytest.mark.parametrize(("text", "want"), READ.items(), ids=repr)
def test_names_apart_by_commas(text: str, want: tuple[str, ...]) -> None:
    """Each once, in the order given."""
    assert NamespaceList(most=5).convert(text, None, None) == want


@pytest.mark.parametrize("text", ["A", "a b", "a.b", "-a", "a-", "a,b_c", "*", "x" * 64])
def test_what_is_no_name(text: str) -> None:
    """A pattern is none either."""
    with pytest.raises(click.BadParameter, match="is no name of a namespace"):
        NamespaceList(most=5).convert(text, None, None)


def test_too_many() -> None:
    """There is a watch per kind and name."""
    with pytest.raises(click.BadParameter, match="3 names are more than 2"):
        NamespaceList(most=2).convert("a,b,c", None, None)


REFUSED: dict[str, tuple[list[str], str]] = {
    "none to look at": (["--watch-namespaces="], "Name one, or watch all namespaces"),
    "no name": (["--secret-namespaces=a,B"], "'B' is no name of a namespace"),
    "a Secret where nobody looks": (
        ["--watch-namespaces=a,b", "--secret-namespaces=b,c"],
        "'c': it is not in --watch-namespaces",
    ),
}


@pytest.mark.parametrize(("arguments", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_names_the_value_and_the_cure(arguments: list[str], words: str) -> None:
    """Before anything is started."""
    result = CliRunner().invoke(operator, arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())


GIVEN: dict[str, tuple[list[str], Any, Any]] = {
    "neither": ([], None, None),
    "Secrets nowhere": (["--secret-namespaces="], None, ()),
    "Secrets in two": (["--secret-namespaces=a,b"], None, ("a", "b")),
    "two": (["--watch-namespaces=a,b"], ("a", "b"), None),
    "two, Secrets in one": (["--watch-namespaces=a,b", "--secret-namespaces=b"], ("a", "b"), ("b",)),
}


@pytest.mark.parametrize(("arguments", "watched", "secrets"), GIVEN.values(), ids=GIVEN.keys())
def test_what_the_operator_is_told(
    arguments: list[str], watched: Any, secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left out is not the same as empty."""
    told = []

    async def run(settings: Any, *_: Any) -> None:
        told.append((settings.watch_namespaces, settings.secret_namespaces))

    monkeypatch.setattr("penstock.cli.operator.run_operator", run)
    for name in ("log_to_stderr", "_share_the_interpreter"):
        monkeypatch.setattr(f"penstock.cli.operator.{name}", lambda *_, **__: None)
    assert CliRunner().invoke(operator, arguments, catch_exceptions=False).exit_code == 0
    assert told == [(watched, secrets)]
