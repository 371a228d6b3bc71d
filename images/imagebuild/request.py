"""Which images there are, what goes into each, and the key under which a finished one is kept."""

import hashlib
import json
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["IMAGES", "ROOT", "Request", "project_version", "request_of"]

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES: Mapping[str, str] = {
    "operator": "ghcr.io/penstock-dev/penstock",
    "gateway": "ghcr.io/penstock-dev/gateway",
    "engine": "ghcr.io/penstock-dev/simulated-engine",
}
"""By the folder of the Dockerfile."""

_NO_SOURCE = frozenset({"__pycache__"})


@dataclass(frozen=True, slots=True)
class Request:
    """One image to build: `folder` below images/, `name` with its tag."""

    folder: str
    name: str
    version: str
    revision: str

    @property
    def dockerfile(self) -> Path:
        """The Dockerfile."""
        return ROOT / "images" / self.folder / "Dockerfile"

    @property
    def arguments(self) -> dict[str, str]:
        """Build arguments that end in the labels."""
        return {"VERSION": self.version, "REVISION": self.revision}

    def key(self, *, builder: str, base: str, compression: str) -> str:
        """A hash over everything that decides what the image is."""
        said = json.dumps([self.name, self.arguments, builder, base, compression])
        digest = hashlib.sha256(said.encode())
        for path in sorted(inputs(self.folder)):
            digest.update(f"\0{path.relative_to(ROOT)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:20]


def request_of(folder: str, tag: str) -> Request:
    """The image as the working copy has it."""
    return Request(folder, f"{IMAGES[folder]}:{tag}", tag, _revision(folder))


def project_version() -> str:
    """As pyproject.toml has it."""
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version


def inputs(folder: str) -> Iterator[Path]:
    """The files that the build may see: the Dockerfile, its ignore file, and what that one lets through."""
    home = ROOT / "images" / folder
    ignored = home / "Dockerfile.dockerignore"
    yield from (home / "Dockerfile", ignored)
    for line in ignored.read_text().splitlines():
        if line.startswith("!"):
            for path in ROOT.glob(line[1:]):
                yield from _files(path)


def _files(path: Path) -> Iterator[Path]:
    for each in path.rglob("*") if path.is_dir() else (path,):
        if each.is_file() and not _NO_SOURCE & set(each.parts) and each.suffix != ".pyc":
            yield each


def _revision(folder: str) -> str:
    """The last commit that touched what goes in: others change neither the image nor its label."""
    paths = [str(path.relative_to(ROOT)) for path in inputs(folder)]
    commit = _git("log", "-1", "--format=%H", "--", *paths)
    changed = _git("status", "--porcelain", "--", *paths)
    return (commit + ("-dirty" if changed else "")) if commit else "unknown"


def _git(*words: str) -> str:
    try:
        answer = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return answer.stdout.strip()
