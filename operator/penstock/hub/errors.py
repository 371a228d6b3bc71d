"""What the model hub or its mirror may answer instead of a model.

HubError (penstock.errors)
  + ModelNotFound         no such repository or revision
  + CredentialsNeeded     private or gated, and the token (if any) does not open it
  + HubUnavailable        away, overloaded or too slow: worth asking again
  + MalformedModel        it answered, but with nothing that could be a model's config and weights
"""

from penstock.errors import HubError

__all__ = ["CredentialsNeeded", "HubUnavailable", "MalformedModel", "ModelNotFound"]


class ModelNotFound(HubError):
    """No such repository or revision."""


class CredentialsNeeded(HubError):
    """The repository is private or gated, and the token (if any) does not open it."""


class HubUnavailable(HubError):
    """The hub is away, overloaded or too slow; `retry_after` is what it asked for, in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class MalformedModel(HubError):
    """The repository holds nothing that could be a model's config and weights, or more than is read."""
