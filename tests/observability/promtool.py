"""Prometheus' own tool, from the test bed."""

import subprocess

import pytest

from testbed.binaries import find

__all__ = ["promtool"]


def promtool(*arguments: str, text: bytes = b"") -> None:
    """Fails with what it says; skips where it is not installed."""
    binary = find().promtool
    if binary is None:
        pytest.skip("promtool is not here: python e2e/testbed/binaries.py promtool")
    done = subprocess.run([str(binary), *arguments], input=text, capture_output=True, check=False, timeout=60)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
