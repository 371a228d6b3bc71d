"""What the simulated engine's commands share: they start `penstock.simulation.engine` with their own command line."""

import signal
import socket
import sys
from typing import Never

_TERMINATED = 143


def run(*command: str) -> None:
    """Play the engine that `command` starts, with this process's arguments; it ends with the engine's status."""
    # A process with the id 1 does not hear SIGTERM until it handles it, and imports take a second.
    signal.signal(signal.SIGTERM, _end)
    from penstock.simulation.engine import main  # noqa: PLC0415 - see above

    main(["--listen", "0.0.0.0", "--name", socket.gethostname(), "--", *command, *sys.argv[1:]])


def _end(*_: object) -> Never:
    sys.exit(_TERMINATED)
