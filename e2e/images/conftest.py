"""The images that were built of this working copy, once per session."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagebuild.archive import Archive
from imagebuild.shelf import Built, finished
from images.running import Container, Unpacked, cannot_run

HOW = "run `python images/build.py` (it needs root on Linux, or Docker) and this again"


@pytest.fixture(scope="session")
def built() -> Callable[[str], Built]:
    """Where an image is; skips where that of these very files was not built."""

    def find(folder: str) -> Built:
        found = finished(folder)
        if found is None:
            pytest.skip(f"the image {folder} of this working copy was not built: {HOW}")
        return found

    return find


@pytest.fixture(scope="session")
def archives(built: Callable[[str], Built]) -> Callable[[str], Archive]:
    """Read once each."""
    read: dict[str, Archive] = {}

    def archive(folder: str) -> Archive:
        if folder not in read:
            read[folder] = Archive.read(Path(built(folder).tar))
        return read[folder]

    return archive


@pytest.fixture(scope="session")
def unpacked(
    archives: Callable[[str], Archive], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Unpacked]]:
    """Unpacked once each, removed at the end."""
    if reason := cannot_run():
        pytest.skip(reason)
    there: dict[str, Unpacked] = {}

    def unpack(folder: str) -> Unpacked:
        if folder not in there:
            there[folder] = Unpacked.of(archives(folder), tmp_path_factory.mktemp(folder))
        return there[folder]

    yield unpack
    for each in there.values():
        each.close()


@pytest.fixture
def run(unpacked: Callable[[str], Unpacked]) -> Iterator[Callable[..., Container]]:
    """Start containers that end with the test."""
    started: list[Container] = []

    def start(folder: str, *argv: str, **how: object) -> Container:
        started.append(unpacked(folder).start(argv, **how))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for container in started:
        container.close()
