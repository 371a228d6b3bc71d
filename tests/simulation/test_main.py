"""The simulated cluster as a process."""

import signal
import subprocess
import sys
from pathlib import Path

COMMAND = (sys.executable, "-m", "penstock.simulation")


def test_it_serves_until_sigterm_and_writes_a_kubeconfig(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    command = (*COMMAND, "--kubeconfig", str(kubeconfig), "--nodes", "h100=1,mi300x=2")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("serving at http://127.0.0.1:")
        assert kubeconfig.is_file()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_kinds_of_nodes_that_it_does_not_have_are_refused(tmp_path: Path) -> None:
    command = (*COMMAND, "--kubeconfig", str(tmp_path / "kubeconfig"), "--nodes", "abacus=1")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "'abacus=1' is not KIND=COUNT with a kind of h100, b200, mi300x, a100" in done.stderr
