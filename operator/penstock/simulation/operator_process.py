"""`penstock operator` as a child process."""

from collections.abc import Sequence
from pathlib import Path

from penstock.simulation.child_process import ChildProcess

__all__ = ["OperatorProcess"]


class OperatorProcess(ChildProcess):
    """The operator of the cluster that the kubeconfig names; `more` are further words of its command line."""

    def __init__(self, kubeconfig: Path, log: Path, more: Sequence[str] = ()) -> None:
        super().__init__("operator", log)
        self._kubeconfig = kubeconfig
        self._more = tuple(more)

    def arguments(self) -> Sequence[str]:
        """Health on a free port of the loopback interface."""
        return (
            *("operator", "--kubeconfig", str(self._kubeconfig), "--no-hub"),
            *("--health-host", "127.0.0.1", "--health-port", "0", "--log-format", "text"),
            *self._more,
        )
