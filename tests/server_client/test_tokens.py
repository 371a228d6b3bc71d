"""The operator's own token, from a file that may change under us."""

from pathlib import Path

import pytest

from penstock.server_client.errors import ServerRefused
from penstock.server_client.tokens import TokenFile, service_account_token

TOKEN = "operator-" + "t" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test puts it."""
    return tmp_path / "token"


@pytest.mark.parametrize("content", [TOKEN, f"{TOKEN}\n", f"\n  {TOKEN}\r\n"])
def test_it_is_trimmed(path: Path, content: str) -> None:
    """Files put into Secrets end in a newline."""
    path.write_text(content)
    assert TokenFile(path)() == TOKEN


def test_it_may_rotate(path: Path) -> None:
    """A mounted Secret changes in place."""
    path.write_text(TOKEN)
    source = TokenFile(path)
    assert source() == TOKEN
    path.write_text(f"{TOKEN}2")
    assert source() == f"{TOKEN}2"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "no token", id="empty"),
        pytest.param(b" \n\n", "no token", id="blank"),
        pytest.param(b"sesame one\n", "more than one", id="words"),
        pytest.param(b"sesame\nsesame\n", "more than one", id="lines"),
        pytest.param("sesamé".encode(), "no token", id="not ASCII"),
        pytest.param(b"sesame" * 683, "larger than 4096 bytes", id="too large"),
    ],
)
def test_a_file_without_a_token(path: Path, content: bytes, why: str) -> None:
    """Is named with the option, and not shown."""
    path.write_bytes(content)
    with pytest.raises(ServerRefused, match=f"{why}.*--server-token-file") as caught:
        TokenFile(path)()
    assert str(path) in str(caught.value)
    assert "sesam" not in str(caught.value)


def test_the_largest_file_is_read(path: Path) -> None:
    """4 KiB to the byte."""
    path.write_text("t" * 4096)
    assert TokenFile(path)() == "t" * 4096


def test_a_file_that_is_not_there(path: Path) -> None:
    """And a folder in its place."""
    with pytest.raises(ServerRefused, match=r"No such file.*--server-token-file"):
        TokenFile(path)()
    with pytest.raises(ServerRefused, match="Is a directory"):
        TokenFile(path.parent)()


def test_the_service_accounts_token(path: Path) -> None:
    """Where the kubelet mounts it; without it the cure is another one."""
    assert str(service_account_token().path) == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    path.write_text(TOKEN)
    assert service_account_token(path)() == TOKEN
    path.unlink()
    with pytest.raises(ServerRefused, match="automountServiceAccountToken"):
        service_account_token(path)()
