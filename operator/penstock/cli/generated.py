"""Folders whose files are generated from the models: written, or compared with what would be written."""

from collections.abc import Mapping
from pathlib import Path

__all__ = ["differences", "write"]


def write(directory: Path, documents: Mapping[str, str]) -> None:
    """Make the folder hold exactly these files of their type; others of that type are removed."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in _strangers(directory, documents):
        path.unlink()
    for name, text in documents.items():
        (directory / name).write_text(text, encoding="utf-8")


def differences(directory: Path, documents: Mapping[str, str]) -> tuple[str, ...]:
    """One line per file that is missing, stale or not ours; empty: up to date."""
    lines = [f"{path}: is not generated any more" for path in _strangers(directory, documents)]
    for name, text in documents.items():
        path = directory / name
        if not path.is_file():
            lines.append(f"{path}: is missing")
        elif path.read_text(encoding="utf-8") != text:
            lines.append(f"{path}: differs from the models")
    return tuple(lines)


def _strangers(directory: Path, documents: Mapping[str, str]) -> list[Path]:
    suffixes = {Path(name).suffix for name in documents}
    return sorted(path for path in directory.glob("*") if path.suffix in suffixes and path.name not in documents)
