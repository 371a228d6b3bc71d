"""The operator's token from a file that may change under us."""

from pathlib import Path

import pytest

from penstock.server.access import Access, GatewayName, Subresource, Verb
from penstock.server.problems import Problem
from penstock.server.token_file import TokenFile, TokenFileUnusable

_ACCESS = Access(Verb.UPDATE, Subresource.TABLE, GatewayName("ns", "gw"))
_ONE, _TWO = "1" * 32, "2" * 32


@pytest.mark.parametrize(
    ("content", "token", "allowed"),
    [
        pytest.param(f"{_ONE}\n", _ONE, True, id="the one"),
        pytest.param(f"{_ONE}\n\n  {_TWO}  \n", _TWO, True, id="the second, with spaces"),
        pytest.param(f"{_ONE}\n", _TWO, False, id="another"),
        pytest.param(f"{_ONE}\n", _ONE[:-1], False, id="a part"),
        pytest.param(f"{_ONE}\n", "", False, id="nothing"),
    ],
)
async def test_who_has_it_may_do_everything(tmp_path: Path, content: str, token: str, *, allowed: bool) -> None:
    """And nobody else anything."""
    path = tmp_path / "token"
    path.write_text(content)
    verdict = await TokenFile(path).judge(token, _ACCESS)
    assert (verdict.allowed, bool(verdict.user)) == (allowed, allowed)


async def test_it_may_rotate(tmp_path: Path) -> None:
    """A mounted Secret changes in place."""
    path = tmp_path / "token"
    path.write_text(_ONE)
    file = TokenFile(path)
    path.write_text(_TWO)
    assert not (await file.judge(_ONE, _ACCESS)).allowed
    assert (await file.judge(_TWO, _ACCESS)).allowed
    path.unlink()
    with pytest.raises(Problem) as caught:
        await file.judge(_TWO, _ACCESS)
    assert caught.value.status == 503


@pytest.mark.parametrize("content", ["", "\n\n", "short\n", f"{_ONE}\nshort\n"])
def test_a_file_that_lets_nobody_in(tmp_path: Path, content: str) -> None:
    """Is found at the start, and not shown."""
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(TokenFileUnusable, match="32 characters") as caught:
        TokenFile(path).check()
    assert "short" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(TokenFileUnusable, match="No such file"):
        TokenFile(tmp_path / "nothing").check()
