"""docs/metrics.md has every metric with its labels, and none that is not there."""

import re
from pathlib import Path

from observability.exported import TARGET, exported

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"(?m)^\| (`[^|]*) \| (?:gauge|counter|histogram)([^|]*) \|")
OURS = re.compile(r"(?:penstock|workqueue|controller_runtime|rest_client|leader_election)_")
KINDS = {"deployment", "gateway", "provider", "route"}
"""The row of conditions is for four kinds, each with a label of its own name."""


def written() -> dict[str, set[str]]:
    """The labels by the name, as the page has them."""
    return {
        name: set(re.findall(r"`(\w+)`", labels))
        for names, labels in ROW.findall(PAGE.read_text(encoding="utf-8"))
        for name in re.findall(r"`(\w+)`", names)
    }


def shown() -> dict[str, set[str]]:
    """The same, as the code exports them; a histogram under its own name."""
    found: dict[str, set[str]] = {}
    for series, labels in exported().items():
        name = re.sub(r"_(bucket|sum|count)$", "", series)
        if OURS.match(series) and not series.endswith("_created"):
            found.setdefault(name, set()).update(labels - {"le"})
    return found


def test_the_page_names_what_is_exported() -> None:
    assert written().keys() == shown().keys()


def test_the_page_names_the_labels() -> None:
    """Those of the target may be left out."""
    page, code = written(), shown()
    for name, labels in code.items():
        left_out = KINDS if name.endswith("_condition") else {"gateway"}
        own = labels - page[name] - TARGET - left_out
        assert (name, own) == (name, set())
        assert (name, page[name] - labels) == (name, set())
