"""A steady load as a process, for a network that this one is not in: `python -m installed.load URL MODEL`.

Writes what it has counted into a file, again and again, and once more at its end (SIGTERM).
"""

import argparse
import asyncio
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from penstock.simulation.load import Counts, LoadSettings, SteadyLoad

__all__ = ["Tally", "main", "read"]

_WRITE_SECONDS = 0.25
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Tally:
    """What one stretch of load came to; `problems` by their words."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    broken: int = 0
    skipped: int = 0
    problems: Mapping[str, int] | None = None
    over: bool = False

    @classmethod
    def of(cls, counts: Counts, *, over: bool) -> Self:
        """As it stands."""
        problems = dict(counts.problems.most_common(_MOST_PROBLEMS))
        return cls(counts.sent, counts.answered, counts.failed, counts.broken, counts.skipped, problems, over)


def read(report: Path) -> Tally:
    """What the process has written last; nothing where it has not begun."""
    try:
        content: dict[str, Any] = json.loads(report.read_text())
    except FileNotFoundError:
        return Tally()
    return Tally(**content)


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m installed.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    settings = LoadSettings(
        url=options.url,
        model=options.model,
        per_second=options.per_second,
        tokens=options.tokens,
        key=options.key_file.read_text().strip(),
    )
    asyncio.run(_run(settings, options.report))


async def _run(settings: LoadSettings, report: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with SteadyLoad(settings) as load:
        counts = load.counts
        while not stop.is_set():
            _write(report, Tally.of(counts, over=False))
            try:
                await asyncio.wait_for(stop.wait(), _WRITE_SECONDS)
            except TimeoutError:
                continue
    _write(report, Tally.of(counts, over=True))


def _write(report: Path, tally: Tally) -> None:
    """Whole or not at all."""
    fresh = report.with_suffix(".new")
    fresh.write_text(
        json.dumps({name: getattr(tally, name) for name in Tally.__dataclass_fields__}),
    )
    fresh.replace(report)


if __name__ == "__main__":
    main()
