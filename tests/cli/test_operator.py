"""What `penstock operator` refuses before it starts."""

import pytest
from click.testing import CliRunner

from penstock.cli import main

HTTPS = ("--server-url", "https://penstock-server:8090")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ["--issue-certificates"], "`--server-url` '': `--issue-certificates` asks for TLS", id="no server"
        ),
        pytest.param(
            ["--server-ca-file", "ca.crt", "--server-url", "http://penstock-server:8090"],
            "'http://penstock-server:8090': `--server-ca-file` asks for TLS. Give an address with https:",
            id="plain HTTP",
        ),
        pytest.param([*HTTPS, "--issue-certificates", "--server-ca-file", "ca.crt"], "give one of them", id="both"),
        pytest.param(["--gateway-token-days", "0"], "1<=x<=365", id="a token for no day"),
    ],
)
def test_options_that_contradict(arguments: list[str], words: str) -> None:
    """In words, with the status of a wrong command line."""
    result = CliRunner().invoke(main, ["operator", *arguments])
    assert result.exit_code == 2
    assert words in result.output
