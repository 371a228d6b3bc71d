"""Finished images in the cache: built once for the same files, found again by their key."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from imagebuild.archive import Archive
from imagebuild.base import find_base
from imagebuild.builders import Builder, BuildkitBuilder, DockerBuilder
from imagebuild.pip_settings import secret_files
from imagebuild.request import Request, project_version, request_of

__all__ = ["Built", "Shelf", "cache_root", "finished"]

SBOM = "/usr/share/penstock/sbom.json"
_KEPT = 3


@dataclass(frozen=True, slots=True)
class Built:
    """One image: where its archive and its SBOM are, and what it costs. `mib` is what a registry would hold."""

    name: str
    tar: str
    sbom: str
    revision: str
    seconds: float
    cached: bool
    mib: float


def cache_root() -> Path:
    """Where bases, BuildKit's own cache and finished archives are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "penstock" / "images"


def finished(folder: str) -> Built | None:
    """The image of the working copy as it is now, if it was built, by BuildKit or Docker; nothing is started."""
    cache = cache_root()
    base = find_base(cache)
    fingerprints = [(DockerBuilder.kind, "")] + ([(BuildkitBuilder.kind, base.digest)] if base else [])
    for kind, digest in fingerprints:
        for compression in ("gzip", "zstd"):
            shelf = Shelf(cache, kind, digest, compression)
            found = shelf.find(request_of(folder, project_version()))
            if found:
                return found
    return None


@dataclass(frozen=True, slots=True)
class Shelf:
    """The archives of one kind of builder over one base; an image's few latest are kept."""

    cache: Path
    kind: str
    base: str
    compression: str

    def find(self, request: Request) -> Built | None:
        """None where it is not there."""
        note = self._note(request)
        if not note.exists():
            return None
        note.touch()
        return replace(Built(**json.loads(note.read_text())), seconds=0.0, cached=True)

    def fill(self, request: Request, builder: Callable[[], Builder]) -> Built:
        """Build it and put it there, whole or not at all."""
        started = time.monotonic()
        note = self._note(request)
        note.parent.mkdir(parents=True, exist_ok=True)
        tar, sbom = note.with_suffix(".tar"), note.with_suffix(".sbom.json")
        with tempfile.TemporaryDirectory(prefix="building-", dir=note.parent) as folder:
            fresh = Path(folder) / "image.tar"
            builder().build(request, secret_files(Path(folder)), fresh, self.compression)
            archive = Archive.read(fresh)
            sbom.write_bytes(archive.content(SBOM))
            fresh.rename(tar)
        built = Built(
            name=request.name,
            tar=str(tar),
            sbom=str(sbom),
            revision=request.revision,
            seconds=round(time.monotonic() - started, 1),
            cached=False,
            mib=round(archive.compressed_bytes / 2**20, 1),
        )
        note.write_text(json.dumps(asdict(built), indent=2))
        _evict(note.parent)
        return built

    def _note(self, request: Request) -> Path:
        key = request.key(builder=self.kind, base=self.base, compression=self.compression)
        return self.cache / request.folder / f"{key}.json"


def _evict(shelf: Path) -> None:
    """All but the ones used last."""
    notes = [path for path in shelf.glob("*.json") if not path.name.endswith(".sbom.json")]
    for note in sorted(notes, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        for suffix in (".json", ".sbom.json", ".tar"):
            note.with_suffix(suffix).unlink(missing_ok=True)
