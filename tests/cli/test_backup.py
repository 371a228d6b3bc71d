"""`penstock backup` and `penstock restore` as they are called: files, pipes, exit codes, and a disk that is full."""

import asyncio
import errno
import gzip
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from builders.control_plane import in_process, sqlite_url
from penstock.cli.backup import backup
from penstock.cli.restore import restore


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with one published table and one token."""

    async def fill() -> None:
        async with in_process(sqlite_url(tmp_path)) as server:
            await server.publish(1)
            await server.token()

    asyncio.run(fill())
    return sqlite_url(tmp_path)


def call(command: Any, *words: str, url: str, stdin: bytes = b"") -> Result:
    return CliRunner(env={"PENSTOCK_DATABASE_URL": url}).invoke(command, words, input=stdin)


def test_a_file_goes_out_and_comes_back(url: str, tmp_path: Path) -> None:
    file = tmp_path / "penstock.backup"
    made = call(backup, "--output", str(file), url=url)
    assert made.exit_code == 0, made.output
    assert "backup done: 1 gateways, 1 bodies, 0 replicas, 1 tokens" in made.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    other = sqlite_url(tmp_path / "other")
    back = call(restore, "--input", str(file), url=other)
    assert back.exit_code == 0, back.output
    assert "restored: 1 gateways" in back.stderr
    again = call(restore, "--input", str(file), url=other)
    assert again.exit_code == 2
    assert "not empty" in again.output
    assert "--force" in again.output


def test_pipes_carry_the_backup_and_nothing_else(url: str, tmp_path: Path) -> None:
    made = call(backup, "--output", "-", url=url)
    assert made.exit_code == 0
    assert gzip.decompress(made.stdout_bytes).startswith(b'{"format":"penstock-backup"')
    (tmp_path / "other").mkdir()
    back = call(restore, "--input", "-", url=sqlite_url(tmp_path / "other"), stdin=made.stdout_bytes)
    assert back.exit_code == 0, back.output


class _FullDisk(gzip.GzipFile):
    """Takes the first line, then has no room."""

    def write(self, data: Any) -> int:
        if b'"row"' in bytes(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_leaves_the_former_backup(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    file = folder / "penstock.backup"
    file.write_bytes(b"the former one")
    monkeypatch.setattr("penstock.cli.backup.gzip.GzipFile", _FullDisk)
    made = call(backup, "--output", str(file), url=url)
    assert made.exit_code == 2
    assert "Make room" in made.output
    assert [each.name for each in folder.iterdir()] == ["penstock.backup"]
    assert file.read_bytes() == b"the former one"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"hello", "Not a gzipped file"), (gzip.compress(b"x" * 1000)[:-9], "Nothing was changed"), (b"", "no")],
    ids=["no gzip", "cut off", "empty"],
)
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "penstock.backup"
    file.write_bytes(content)
    result = call(restore, "--input", str(file), url=sqlite_url(tmp_path))
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "url",
    ["postgresql://penstock:s3cr3t@127.0.0.1:9/penstock", "mysql://penstock:s3cr3t@h/x", "sqlite:////nowhere/x.db"],
)
def test_a_database_that_is_not_there_is_a_sentence_without_the_password(url: str, tmp_path: Path) -> None:
    result = call(backup, "--output", str(tmp_path / "file"), url=url)
    assert result.exit_code == 2
    assert "s3cr3t" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_sentence(url: str, tmp_path: Path) -> None:
    result = call(backup, "--output", str(tmp_path / "nowhere" / "file"), url=url)
    assert result.exit_code == 2
    assert "name another --output" in result.output


def test_a_misspelt_file_is_told_and_not_made(tmp_path: Path) -> None:
    result = call(backup, "--output", str(tmp_path / "file"), url=f"sqlite:///{tmp_path / 'misspelt.db'}")
    assert result.exit_code == 2
    assert "there is no file" in result.output
    assert list(tmp_path.iterdir()) == []
