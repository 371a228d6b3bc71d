"""The forms of strings: each example has its form, and dangerous strings have none."""

import pytest

from penstock.api import patterns
from penstock.api.patterns import PATTERNS, Pattern


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.example)
def test_each_example_has_its_form(pattern: Pattern) -> None:
    """A refusal shows it as the way to write."""
    assert pattern.matches(pattern.example)
    assert not pattern.matches(pattern.example + "\n")


_DANGEROUS: dict[str, tuple[Pattern, str]] = {
    "model above its place": (patterns.MODEL, "a/.."),
    "model below its place": (patterns.MODEL, "../a"),
    "model as an option": (patterns.MODEL, "--trust-remote-code"),
    "model with a space": (patterns.MODEL, "a b"),
    "revision above its place": (patterns.REVISION, "main/../../x"),
    "revision as an option": (patterns.REVISION, "-x"),
    "volume path above its place": (patterns.VOLUME_PATH, "a/../../etc"),
    "volume path as an option": (patterns.VOLUME_PATH, "-x"),
    "node path that is relative": (patterns.NODE_PATH, "var/lib"),
    "node path above its place": (patterns.NODE_PATH, "/var/lib/../../etc"),
    "the node's root": (patterns.NODE_PATH, "/"),
    "bucket of another cloud": (patterns.OBJECT_STORE_URL, "file:///etc/passwd"),
    "url of a file": (patterns.HTTP_URL, "file:///etc/passwd"),
    "image as an option": (patterns.IMAGE, "--privileged"),
    "variable with a sign": (patterns.ENVIRONMENT_NAME, "A=B"),
    "fraction above one": (patterns.FRACTION, "1.01"),
}


@pytest.mark.parametrize(("pattern", "text"), _DANGEROUS.values(), ids=_DANGEROUS)
def test_dangerous_strings_have_no_form(pattern: Pattern, text: str) -> None:
    """They would leave their place in a path, or read as an option."""
    assert not pattern.matches(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    {
        "hidden folder": (patterns.VOLUME_PATH, ".cache/model"),
        "whole volume": (patterns.VOLUME_PATH, ""),
        "absolute in the volume": (patterns.VOLUME_PATH, "/models/qwen/"),
        "pull request": (patterns.REVISION, "refs/pr/5"),
        "model without an owner": (patterns.MODEL, "gpt2"),
        "image with port and digest": (patterns.IMAGE, f"localhost:5000/vllm@sha256:{'a' * 64}"),
        "zone without a city": (patterns.TIME_ZONE, "UTC"),
        "no sign, six places": (patterns.DECIMAL, "0.000001"),
    }.values(),
)
def test_good_strings_have_it(pattern: Pattern, text: str) -> None:
    """What people have is not refused."""
    assert pattern.matches(text)
