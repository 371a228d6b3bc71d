"""Keys of a mounted Secret, which the kubelet swaps whole."""

import asyncio
from pathlib import Path

from penstock_gateway.credentials import Credentials


def mount(folder: Path, version: str) -> None:
    """As the kubelet does: a new folder, and one link to it."""
    data = folder / f"..{version}"
    data.mkdir(parents=True)
    (data / "openai").write_text(f"sk-{version}\n")
    (data / "version").write_text(version)
    link = folder / "..draft"
    link.symlink_to(data.name)
    link.replace(folder / "..data")
    for name in ("openai", "version"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


def test_files_are_read_anew_when_they_change(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path)
    for version in ("v1", "v2"):
        mount(tmp_path, version)
        credentials.refresh()
        assert (credentials.version, credentials.of("openai")) == (version, f"sk-{version}")
    assert credentials.of("version") is None


def test_a_folder_that_goes_leaves_what_was_read(tmp_path: Path) -> None:
    mount(tmp_path / "keys", "v1")
    credentials = Credentials(tmp_path / "keys")
    credentials.refresh()
    (tmp_path / "keys").rename(tmp_path / "gone")
    credentials.refresh()
    assert credentials.of("openai") == "sk-v1"


async def test_a_new_version_is_told(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path, period=0.01)
    running = asyncio.create_task(credentials.run())
    mount(tmp_path, "v1")
    await asyncio.wait_for(credentials.changed.wait(), 5)
    assert credentials.version == "v1"
    running.cancel()
