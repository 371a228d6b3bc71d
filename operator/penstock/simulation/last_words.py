"""What a process said before it ended, from the end of its log."""

import os
from pathlib import Path

__all__ = ["last_words"]

_BYTES = 2048
_LINES = 5


def last_words(log: Path) -> str:
    """The last five lines on one, 2,048 bytes at most; empty where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return " | ".join(line for line in text.splitlines()[-_LINES:])
