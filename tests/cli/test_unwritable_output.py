"""Where the output takes nothing, a command says so in a line and ends with exit code 2, without a traceback."""

import subprocess
import sys

import pytest

COMMAND = f"{sys.executable} -m penstock catalogue accelerators"


@pytest.mark.parametrize(("to", "reason"), [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_an_output_that_takes_nothing_is_told(to: str, reason: str) -> None:
    told = subprocess.run(["bash", "-c", f"{COMMAND} {to}"], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stderr == f"the output cannot be written: {reason}. Write it where there is room for it.\n"


def test_a_reader_that_goes_away_is_no_news() -> None:
    told = subprocess.run(["bash", "-c", f"{COMMAND} | true"], capture_output=True, text=True, check=False)
    assert told.stderr == ""
