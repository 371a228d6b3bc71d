"""The engine's argument list: what the plan says, overridden by what the user says, as far as that is allowed.

A flag is known by its first spelling, without dashes and with `-` for `_`. The user's flags win; one that contradicts
the plan's memory or GPUs, one that belongs to a field of its own, and one that this version of the engine does not have
are refused, with the cure. Beginnings of flags, which argparse would complete, are flags that the engine does not have.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from penstock.api.formats import Precision
from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.engines import FlagList
from penstock.engines.foreign_code import foreign_code
from penstock.planner.plan import Plan

__all__ = ["SIXTEEN_BITS", "Flag", "Policy", "Rendered", "literal", "merge", "quantization_cures"]

SIXTEEN_BITS = frozenset({"auto", "half", "float16", "bfloat16"})
"""Values of `--dtype` under which the weights take the memory that was planned."""

_OPTION = re.compile(r"--?[A-Za-z_]")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)")


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag and its value; None: a switch. `more` are the further values of a list."""

    name: str
    value: str | None = None
    more: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """As the command line has it; a value that begins with a dash is joined, or it would be read as a flag."""
        if self.value is None:
            return (f"--{self.name}",)
        if self.value.startswith("-"):
            return (f"--{self.name}={self.value}", *self.more)
        return (f"--{self.name}", self.value, *self.more)


@dataclass(frozen=True, slots=True)
class Policy:
    """What users may not say: `reserved` flags with the cure, `planned` flags whose value is the plan's.

    `ceilings` are planned numbers that the user may lower, though none below that of the flag which `floors` names,
    `choices` the only values that keep the plan true, `switches` what the plan has decided. `units` are the suffixes
    that the flags of `counted` take. `aliases` are spellings that the engine's own list lacks. `dotted`: `--flag.key`
    sets a part of a JSON value.
    """

    reserved: Mapping[str, str]
    planned: Mapping[str, str]
    ceilings: Mapping[str, int]
    floors: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, int] = field(default_factory=dict)
    counted: frozenset[str] = frozenset()
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    switches: Mapping[str, bool] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    dotted: bool = False


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

    @property
    def root(self) -> str:
        """The flag without the key of a JSON value."""
        return self.flag.name.partition(".")[0]

    def refuse(self, reason: str, cure: str) -> Refusal:
        value = f"{self.text} {self.flag.value}" if self.flag.value and "=" not in self.text else self.text
        return Refusal(self.field, value, reason, cure)


def quantization_cures(plan: Plan, *names: str) -> dict[str, str]:
    """Reserves `names` where the checkpoint is not quantised: they would quantise it while it loads."""
    if plan.checkpoint.precision not in {Precision.BF16, Precision.FP16}:
        return {}
    return dict.fromkeys(names, "Use `spec.variants`: weights are never quantised while they load")


def literal(text: str) -> str:
    """Text that Kubernetes must not expand: `$(NAME)` would put an environment variable, a token even, in its place."""
    return text.replace("$", "$$")


def merge(rendered: Iterable[Flag], said: tuple[str, ...], flags: FlagList, policy: Policy) -> Rendered:
    """The user's flags over the rendered ones; `Refused` with every problem at once."""
    ours = tuple(rendered)
    users = _parse(said, flags, policy)
    refusals = [refusal for each in users if (refusal := _problem(each, flags, policy))]
    refusals = refusals or list(_disagreements(users, policy))
    if refusals:
        raise Refused(refusals)
    names = {_positive(each.flag.name) for each in users}
    kept = [word for flag in ours if flag.name not in names for word in flag.words]
    own = [literal(word) for each in users for word in each.flag.words]
    return Rendered((*kept, *own), tuple(flag.name for flag in ours if flag.name in names))


def _parse(said: tuple[str, ...], flags: FlagList, policy: Policy) -> list[_Said]:
    """Join `--flag value`, `--flag=value`, lists and switches; a word that belongs to no flag is refused."""
    users: list[_Said] = []
    index = 0
    while index < len(said):
        word, where = said[index], f"spec.engineArgs[{index}]"
        if not _OPTION.match(word):
            raise Refused([Refusal(where, word, "it belongs to no flag", "Write `--flag` before its value")])
        name, equals, value = word.lstrip("-").partition("=")
        name = _first_spelling(name, flags, policy)
        values = (value,) if equals else _values(name, said[index + 1 :], flags)
        users.append(_Said(where, word, Flag(name, values[0] if values else None, values[1:])))
        index += 1 + (0 if equals else len(values))
    return users


def _first_spelling(name: str, flags: FlagList, policy: Policy) -> str:
    """Only the part before the first dot is a flag: keys of JSON keep their underscores."""
    root, dot, keys = name.partition(".")
    root = root.replace("_", "-")
    if root in flags.negations:
        return f"no-{flags.negations[root]}"
    root = policy.aliases.get(root, root)
    return f"{flags.aliases.get(root, root)}{dot}{keys}"


def _values(name: str, rest: tuple[str, ...], flags: FlagList) -> tuple[str, ...]:
    """The words that belong to the flag: never one that argparse would take for the next flag."""
    root, dot, _ = name.partition(".")
    if flags.knows(root) and not flags.takes_value(root):
        return ()
    # A flag that nobody knows takes one word too, so that the refusal is about the flag and not about the word.
    most = len(rest) if root in flags.lists and not dot else 1
    taken: list[str] = []
    for word in rest[:most]:
        if _OPTION.match(word):
            break
        taken.append(word)
    return tuple(taken)


def _positive(name: str) -> str:
    return name.removeprefix("no-")


def _problem(each: _Said, flags: FlagList, policy: Policy) -> Refusal | None:
    cure = policy.reserved.get(each.root) or policy.reserved.get(_positive(each.root))
    if cure is not None:
        # Without the value: it may be a key or a token, and refusals are shown to everybody who sees the status.
        return Refusal(each.field, each.text.partition("=")[0], "this flag is Penstock's", cure)
    return _unknown(each, flags, policy) or _malformed(each, flags) or _contradiction(each, policy)


def _unknown(each: _Said, flags: FlagList, policy: Policy) -> Refusal | None:
    if flags.knows(each.root) and (policy.dotted or "." not in each.flag.name):
        return None
    near = difflib.get_close_matches(each.root, flags.names, n=1)
    nearest = f"Did you mean `--{near[0]}`" if near else "See the engine's own help"
    return each.refuse(f"{flags.engine} {flags.version} has no such flag", nearest)


def _malformed(each: _Said, flags: FlagList) -> Refusal | None:
    flag = each.flag
    loaded = foreign_code(flag.name, (flag.value or "", *flag.more))
    if loaded is not None:
        return each.refuse(*loaded)
    takes_value = flags.takes_value(each.root)
    if takes_value and flag.value is None and each.root not in flags.optional:
        return each.refuse("it needs a value", "Add the value")
    if not takes_value and flag.value is not None:
        return each.refuse("it is a switch and takes no value", "Leave the value out")
    return None


def _contradiction(each: _Said, policy: Policy) -> Refusal | None:
    name, value = each.flag.name, each.flag.value or ""
    planned = policy.planned.get(name)
    if planned is not None and not _same(value, planned):
        why = f"the plan was made with {planned}; another value would not fit what was placed"
        return each.refuse(why, "Leave it out, or change what the plan is made from")
    decided = policy.switches.get(_positive(name))
    if decided is not None and decided == name.startswith("no-"):
        why = f"the plan was made {'with' if decided else 'without'} it"
        return each.refuse(why, "Leave it out: the planner decides on it with the memory that it takes")
    choices = policy.choices.get(name)
    if choices is not None and value not in choices:
        why = "the plan has memory for the checkpoint as it is"
        return each.refuse(why, f"Use one of {', '.join(sorted(choices))}, or leave it out")
    return _beyond(each, policy)


def _beyond(each: _Said, policy: Policy) -> Refusal | None:
    ceiling = policy.ceilings.get(each.flag.name)
    if ceiling is None:
        return None
    number = _integer(each.flag, policy)
    if number is None:
        return each.refuse("the engine reads no such number here", f"Write it out, {ceiling} at most")
    if 1 <= number <= ceiling:
        return None
    why = f"the plan has memory for {ceiling} at most"
    return each.refuse(why, "Lower it, or raise `spec.workload` so that it is planned")


def _disagreements(users: Iterable[_Said], policy: Policy) -> Iterator[Refusal]:
    """Numbers below those that they must not be below: the engine would end at its start, again and again."""
    said = {each.flag.name: each for each in users if each.flag.name in policy.ceilings}
    numbers = {**policy.ceilings, **{name: _integer(each.flag, policy) or 0 for name, each in said.items()}}
    for lower, upper in policy.floors.items():
        least = numbers[upper]
        if lower in said and numbers[lower] < least:
            cure = f"Raise it, or lower `--{upper}` too"
            yield said[lower].refuse(f"the engine wants it to be at least `--{upper}`, {least}", cure)


def _same(value: str, planned: str) -> bool:
    """Equal as text or as numbers: `0.9` is `0.90`."""
    try:
        return value == planned or Decimal(value) == Decimal(planned)
    except InvalidOperation:
        return False


def _integer(flag: Flag, policy: Policy) -> int | None:
    """A number as this engine reads it for this flag (`8192`, `8.5k`): 0 for a word, None where it reads none."""
    match = _NUMBER.fullmatch(flag.value or "")
    if match is None:
        return 0
    number, suffix = match.groups()
    units = {"": 1, **(policy.units if flag.name in policy.counted else {})}
    factor = units.get(suffix)
    # Binary units and plain numbers take no decimals.
    if factor is None or ("." in number and factor % 10):
        return None
    return int(Decimal(number) * factor)
