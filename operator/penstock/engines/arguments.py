"""The engine's argument list: what the plan says, overridden by what the user says, as far as that is allowed.

A flag is known by its name without dashes and with `-` for `_`. The user's flags win; one that contradicts the plan's memory or
GPUs, one that belongs to a field of its own, and one that this version of the engine does not have are refused, with the cure.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.engines import FlagList

__all__ = ["Flag", "Policy", "Rendered", "merge"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag and its value; None: a switch."""

    name: str
    value: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """As the command line has it."""
        return (f"--{self.name}",) if self.value is None else (f"--{self.name}", self.value)


@dataclass(frozen=True, slots=True)
class Policy:
    """What users may not say: `reserved` flags with the cure, `planned` flags whose value is the plan's.

    `aliases` maps short and older spellings to the name that is rendered. `ceilings` are planned numbers that the user may lower.
    """

    reserved: Mapping[str, str]
    planned: Mapping[str, str]
    ceilings: Mapping[str, int]
    aliases: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The words of the command line, and which flags the user's own replaced."""

    words: tuple[str, ...]
    overridden: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    """What the user wrote, and where."""

    field: str
    text: str
    flag: Flag


def merge(rendered: Iterable[Flag], said: tuple[str, ...], flags: FlagList, policy: Policy) -> Rendered:
    """The user's flags over the rendered ones; `Refused` with every problem at once."""
    users = _parse(said, flags, policy)
    refusals = [refusal for each in users if (refusal := _problem(each, flags, policy))]
    if refusals:
        raise Refused(refusals)
    names = {_positive(each.flag.name) for each in users}
    ours = [flag for flag in rendered if _positive(flag.name) not in names]
    replaced = tuple(flag.name for flag in rendered if _positive(flag.name) in names)
    words = [word for flag in (*ours, *(each.flag for each in users)) for word in flag.words]
    return Rendered(tuple(words), replaced)


def _parse(said: tuple[str, ...], flags: FlagList, policy: Policy) -> list[_Said]:
    """Join `--flag value`, `--flag=value` and switches; a word that belongs to no flag is refused."""
    users: list[_Said] = []
    index = 0
    while index < len(said):
        word, field = said[index], f"spec.engineArgs[{index}]"
        if not word.startswith("-") or word in {"-", "--"}:
            raise Refused([Refusal(field, word, "it belongs to no flag", "Write `--flag` before its value")])
        name, equals, value = word.lstrip("-").partition("=")
        name = policy.aliases.get(name.replace("_", "-"), name.replace("_", "-"))
        index += 1
        if not equals and flags.takes_value(name) and index < len(said):
            value, equals = said[index], "="
            index += 1
        users.append(_Said(field, word, Flag(name, value if equals else None)))
    return users


def _positive(name: str) -> str:
    return name.removeprefix("no-")


def _problem(each: _Said, flags: FlagList, policy: Policy) -> Refusal | None:
    name, value = each.flag.name, each.flag.value
    root = name.partition(".")[0]
    cure = policy.reserved.get(root) or policy.reserved.get(_positive(root))
    if cure is not None:
        return Refusal(each.field, each.text, "this flag is Penstock's", cure)
    if not flags.knows(root):
        near = difflib.get_close_matches(root, flags.names, n=1)
        nearest = f"Did you mean `--{near[0]}`" if near else "See the engine's own help"
        return Refusal(each.field, each.text, f"{flags.engine} {flags.version} has no such flag", nearest)
    if flags.takes_value(name) and value is None:
        return Refusal(each.field, each.text, "it needs a value", "Add the value")
    return _contradiction(each, policy)


def _contradiction(each: _Said, policy: Policy) -> Refusal | None:
    name, value = each.flag.name, each.flag.value or ""
    planned = policy.planned.get(name)
    if planned is not None and value != planned:
        why = f"the plan was made with {planned}; another value would not fit what was placed"
        return Refusal(each.field, f"{each.text} {value}", why, "Leave it out, or change what the plan is made from")
    ceiling = policy.ceilings.get(name)
    if ceiling is not None and not (value.isdigit() and 1 <= int(value) <= ceiling):
        why = f"the plan has memory for {ceiling} at most"
        return Refusal(
            each.field, f"{each.text} {value}", why, "Lower it, or raise `spec.workload` so that it is planned"
        )
    return None
