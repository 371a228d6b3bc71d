"""What is mounted below a folder, and how to take it away."""

import subprocess
from pathlib import Path

__all__ = ["unmount_below"]

_MOUNTS = Path("/proc/self/mountinfo")
_PLACE = 4


def unmount_below(folder: Path) -> list[str]:
    """Unmount all of it, the innermost first; the places, none where nothing was mounted."""
    wanted = f"{folder.resolve()}/"
    places = [line.split()[_PLACE] for line in _MOUNTS.read_text().splitlines()]
    below = sorted((place for place in places if place.startswith(wanted)), key=len, reverse=True)
    for place in below:
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
    return below
