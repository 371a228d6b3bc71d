"""An engine's command line, read as the engine reads it: flags that its release does not have end it with status 2.

Penstock's own argument vector goes through here unchanged. Only what the simulation acts on is kept; abbreviations of
flags are refused, which is stricter than argparse.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from penstock.api.formats import EngineName
from penstock.catalogue.engines import FlagList, flags_of

__all__ = ["EngineSettings", "UsageError", "engine_of", "parse"]

_COMMANDS: Mapping[tuple[str, ...], EngineName] = MappingProxyType(
    {
        ("vllm", "serve"): EngineName.VLLM,
        ("python3", "-m", "sglang.launch_server"): EngineName.SGLANG,
        ("python", "-m", "sglang.launch_server"): EngineName.SGLANG,
        ("sglang", "serve"): EngineName.SGLANG,
    }
)

_LISTS = frozenset({"api-key", "lora-modules", "lora-paths", "served-model-name"})
"""Flags that take every word up to the next flag; served-model-name only for vLLM, where one word does no harm."""

_ALIASES = MappingProxyType(
    {
        EngineName.VLLM: {"tp": "tensor-parallel-size", "model": "model-path"},
        EngineName.SGLANG: {
            "model": "model-path",
            "tensor-parallel-size": "tp-size",
            "max-running-requests": "max-num-seqs",
            "context-length": "max-model-len",
            "page-size": "block-size",
        },
    }
)

_DEFAULT_PORTS = MappingProxyType({EngineName.VLLM: "8000", EngineName.SGLANG: "30000"})
_DEFAULT_BLOCKS = MappingProxyType({EngineName.VLLM: "16", EngineName.SGLANG: "1"})
_LOOPBACK = "127.0.0.1"
_SUFFIXES = MappingProxyType({"k": 1000, "K": 1024, "m": 10**6, "M": 2**20})


class UsageError(Exception):
    """The engine would print this and exit with status 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What the command line says; `shutdown_seconds` is None where the engine drains without a limit."""

    engine: EngineName
    version: str
    model: str
    served_names: tuple[str, ...]
    host: str
    port: int
    max_model_tokens: int
    max_sequences: int
    tensor_parallel: int
    block_tokens: int
    kv_cache_dtype: str
    shutdown_seconds: float | None
    serves_metrics: bool

    @property
    def reachable(self) -> bool:
        """False where the engine listens on the loopback interface inside its pod, as SGLang does unless told."""
        return self.host not in {_LOOPBACK, "localhost", "::1"}


def engine_of(arguments: Sequence[str]) -> tuple[EngineName, Sequence[str]]:
    """The engine that a command starts, and the words after the command; UsageError where it is none."""
    for command, engine in _COMMANDS.items():
        if tuple(arguments[: len(command)]) == command:
            return engine, arguments[len(command) :]
    said = " ".join(arguments[:3])
    message = f"{said or 'an empty command'}: not a command of vLLM or SGLang"
    raise UsageError(message)


def parse(arguments: Sequence[str], *, version: str) -> EngineSettings:
    """The whole argument vector, command included; UsageError says what argparse would."""
    engine, words = engine_of(arguments)
    given = _Given(engine, dict(_pairs(engine, words, flags_of(engine, version))))
    model = given.text("model-path")
    if not model:
        raise UsageError("the following arguments are required: " + _model_argument(engine))
    return EngineSettings(
        engine=engine,
        version=version,
        model=model,
        served_names=given.words("served-model-name") or (model,),
        host=given.text("host", "0.0.0.0" if engine is EngineName.VLLM else _LOOPBACK),  # noqa: S104 - vLLM's default
        port=given.number("port", _DEFAULT_PORTS[engine]),
        max_model_tokens=given.number("max-model-len", "32768"),
        max_sequences=given.number("max-num-seqs", "256"),
        tensor_parallel=given.number("tensor-parallel-size" if engine is EngineName.VLLM else "tp-size", "1"),
        block_tokens=given.number("block-size", _DEFAULT_BLOCKS[engine]),
        kv_cache_dtype=given.text("kv-cache-dtype", "auto"),
        shutdown_seconds=float(given.number("shutdown-timeout", "0")) if engine is EngineName.VLLM else None,
        serves_metrics=not given.has("disable-log-stats") if engine is EngineName.VLLM else given.has("enable-metrics"),
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """Flags by their usual names, with their words."""

    engine: EngineName
    flags: Mapping[str, tuple[str, ...]]

    def has(self, name: str) -> bool:
        return name in self.flags

    def words(self, name: str) -> tuple[str, ...]:
        return self.flags.get(name, ())

    def text(self, name: str, default: str = "") -> str:
        words = self.words(name)
        return words[-1] if words else default

    def number(self, name: str, default: str) -> int:
        text = self.text(name, default)
        digits, factor = (text[:-1], _SUFFIXES[text[-1]]) if text[-1:] in _SUFFIXES else (text, 1)
        if not digits.isdecimal():
            message = f"argument --{name}: invalid int value: '{text}'"
            raise UsageError(message)
        return int(digits) * factor


def _model_argument(engine: EngineName) -> str:
    return "model_tag" if engine is EngineName.VLLM else "--model-path/--model"


def _pairs(engine: EngineName, words: Sequence[str], flags: FlagList) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each flag with the words that belong to it; vLLM's first free word is the model."""
    rest = list(words)
    free: list[str] = []
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            free.append(word)
            continue
        name, equals, value = word.lstrip("-").replace("_", "-").partition("=")
        # Dashes in the value stay as they were written.
        value = word.partition("=")[2]
        if not flags.knows(name.partition(".")[0]):
            raise UsageError("unrecognized arguments: " + word)
        yield _ALIASES[engine].get(name, name), (value,) if equals else _values(name, rest, flags)
    if free and engine is EngineName.VLLM:
        yield "model-path", (free.pop(0),)
    if free:
        raise UsageError("unrecognized arguments: " + " ".join(free))


def _values(name: str, rest: list[str], flags: FlagList) -> tuple[str, ...]:
    """Take what belongs to the flag off the front of `rest`."""
    if not flags.takes_value(name.partition(".")[0]):
        return ()
    taken: list[str] = []
    while rest and not rest[0].startswith("--") and (not taken or name in _LISTS):
        taken.append(rest.pop(0))
    if not taken:
        message = f"argument --{name}: expected one argument"
        raise UsageError(message)
    return tuple(taken)
