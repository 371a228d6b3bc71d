"""What can go wrong, as one tree.

PenstockError
  + Refused               input that is not acted on; carries the refusals that teach
  + ClusterError          the API server's answers (cluster/errors.py has the leaves)
  + HubError              the model hub's answers (hub/errors.py has the leaves)
  + ServerError           the control-plane server's answers (server_client/errors.py has the leaves)
  + Unreadable            a file that somebody names on the command line (cli/input_files.py)
  + EngineReadingError    an engine's answers about itself (engine_readings/errors.py has the leaves)

Nothing else is raised on purpose. Each leaf lives beside the code that raises it.
"""

__all__ = ["ClusterError", "EngineReadingError", "HubError", "PenstockError", "ServerError"]


class PenstockError(Exception):
    """The root: everything that Penstock raises on purpose."""


class ClusterError(PenstockError):
    """The Kubernetes API server answered otherwise than hoped, or not at all."""


class HubError(PenstockError):
    """The model hub or its mirror answered otherwise than hoped, or not at all."""


class ServerError(PenstockError):
    """The control-plane server answered otherwise than hoped, or not at all."""


class EngineReadingError(PenstockError):
    """An engine said nothing of itself, or nothing that can be read."""
