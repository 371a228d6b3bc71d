"""An explanation for people, as a tree on a terminal and indented lines in a pipe, and as plain data."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TextIO

from rich.text import Text
from rich.tree import Tree

from penstock.cli.explanation import Explanation
from penstock.cli.tables import console, has_width, heading, note
from penstock.planner.decision_tree import Branch, Miss, compressed
from penstock.planner.plan import RejectionReason

__all__ = ["data_of", "write_explanation"]

_FORMAT = 1
_TAKEN = "*"


def write_explanation(found: Explanation, out: TextIO) -> None:
    """The outcome, the facts, the tree, and what came near."""
    note(f"{found.kind} {found.name}", out, style="bold")
    note(found.outcome, out, style="green" if found.settled else "bold red")
    for fact in found.facts:
        note(fact, out)
    if found.tree:
        heading("Decision" if found.kind == "ModelDeployment" else "Deployments", out)
    for branch in found.tree:
        _write_branch(_untold(compressed(_without_smaller(branch)), found.outcome), out)
    near = tuple(_near(found))
    if near:
        heading("What would have to change", out)
    for line in near:
        note(line, out)


def _without_smaller(branch: Branch) -> Branch:
    """Sizes that are too small for the weights share a line: the first, the largest, says what is missing."""
    small = [each for each in branch.branches if each.reason == RejectionReason.WEIGHTS_TOO_LARGE]
    shared = ", ".join(each.label for each in small)
    return replace(
        branch,
        branches=tuple(
            replace(each, label=shared) if each in small else _without_smaller(each)
            for each in branch.branches
            if each not in small[1:]
        ),
    )


def _untold(branch: Branch, outcome: str) -> Branch:
    """Without a message that was told above."""
    message = "" if branch.message and branch.message in outcome else branch.message
    return replace(branch, message=message, branches=tuple(_untold(each, outcome) for each in branch.branches))


def _write_branch(branch: Branch, out: TextIO) -> None:
    if has_width(out):
        console(out).print(_grown(branch))
        return
    out.writelines(f"{line}\n" for line in _indented(branch, 0))


def _grown(branch: Branch) -> Tree:
    tree = Tree(_told(branch), guide_style="dim")
    for each in branch.branches:
        tree.children.append(_grown(each))
    return tree


def _told(branch: Branch) -> Text:
    """The taken way has a star; everything else says why not."""
    mark, style = (f"{_TAKEN} ", "bold green") if branch.chosen else ("", "")
    reason = f": {branch.reason}" if branch.reason else ""
    message = f": {branch.message}" if branch.message else ""
    return Text.assemble((f"{mark}{branch.label}", style), (reason, "yellow" if not branch.chosen else style), message)


def _indented(branch: Branch, depth: int) -> Iterator[str]:
    yield f"{'  ' * depth}{_told(branch).plain}"
    for each in branch.branches:
        yield from _indented(each, depth + 1)


def _near(found: Explanation) -> Iterator[str]:
    if found.runner_up is not None:
        yield f"next best: {_miss(found.runner_up)}"
    for miss in found.nearest:
        yield f"nearest: {_miss(miss)}"


def _miss(miss: Miss) -> str:
    where = " ".join(part for part in (miss.pool, miss.label) if part) or "whatever the pool"
    return f"{where}: {miss.reason}: {miss.message}"


def data_of(found: Explanation) -> dict[str, Any]:
    """Plain data."""
    return {
        "format": _FORMAT,
        "kind": found.kind,
        "name": found.name,
        "outcome": found.outcome,
        "settled": found.settled,
        "facts": list(found.facts),
        "tree": [_branch(each) for each in found.tree],
        "runnerUp": _miss_data(found.runner_up) if found.runner_up else None,
        "nearest": [_miss_data(each) for each in found.nearest],
    }


def _branch(branch: Branch) -> dict[str, Any]:
    """A leaf has a reason, a fork has branches."""
    content: dict[str, Any] = {"label": branch.label, "chosen": branch.chosen}
    if branch.reason:
        content |= {"reason": str(branch.reason), "message": branch.message}
    return content | ({"branches": [_branch(each) for each in branch.branches]} if branch.branches else {})


def _miss_data(miss: Miss) -> dict[str, str]:
    return {"pool": miss.pool, "label": miss.label, "reason": str(miss.reason), "message": miss.message}
