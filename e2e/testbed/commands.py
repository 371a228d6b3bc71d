"""Commands that run to their end: kubectl and its like."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.errors import CommandError


def run(argv: Sequence[str], *, more: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a command, with `more` in its environment; return what it prints, or raise what it complains of."""
    ran = subprocess.run(
        argv, env=os.environ | dict(more or {}), input=stdin, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        message = f"{_shown(argv)}: {ran.stderr.strip() or ran.stdout.strip()}"
        raise CommandError(message)
    return ran.stdout


def _shown(argv: Sequence[str]) -> str:
    """Without the folders and the flags that are the same each time."""
    same = ("--kubeconfig=", "--cache-dir=")
    return " ".join([Path(argv[0]).name, *(word for word in argv[1:] if not word.startswith(same))])
